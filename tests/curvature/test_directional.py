"""Curvature along the steps, from gradients that are there anyway: unbiased, with an error that holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import DirectionalCurvature, create_noisy_landscape
from nalr.curvature import DirectionalStatus
from nalr.statistics.intervals import fieller_interval, student_t_quantile
from tests.tolerances import standard_errors

SPECTRUM = [4.0, 2.0, 1.0, 0.5, 0.1]


def truth_of_sgd(landscape, x, batch_size):
    """Return GᵀHG + tr(HΣ)/B."""
    gradient = landscape.gradient(x)
    noise = sum(
        (landscape.hessian_vector(x, row) @ unit)
        for row, unit in zip(landscape.gradient_covariance(x), np.eye(landscape.dim), strict=True)
    )
    return gradient @ landscape.hessian_vector(x, gradient) + noise / batch_size


def one_step_values(landscape, x, lr, batch_size, repeats):
    """Return A of one step each, and the biased alternative with |ḡ|² instead of Q."""
    values, naive = [], []
    for _ in range(repeats):
        rows = landscape.sample_gradients(x, batch_size)
        mean = rows.mean(axis=0)
        fresh = landscape.sample_gradients(x - lr * mean, batch_size)
        curvature = DirectionalCurvature().update(rows, lr).update(fresh, lr)
        values.append(curvature.reading().value)
        naive.append((mean @ mean - fresh.mean(axis=0) @ mean) / lr)
    return np.array(values), np.array(naive)


@pytest.mark.parametrize(
    "noise", [{}, {"noise": "student_t", "degrees_of_freedom": 6.0}, {"noise_covariance": "hessian"}]
)
@pytest.mark.parametrize("lr", [0.5, 0.1])
def test_it_is_unbiased_on_quadratics_and_the_squared_norm_alone_is_not(noise, lr):
    landscape = create_noisy_landscape(dim=5, noise_scale=1.0, spectrum=SPECTRUM, seed=1, **noise)
    x = np.full(5, 0.7)
    values, naive = one_step_values(landscape, x, lr, 4, 3000)
    exact = truth_of_sgd(landscape, x, 4)
    assert abs(values.mean() - exact) < standard_errors(values, 3.0)
    bias = np.trace(landscape.gradient_covariance(x)) / 4 / lr
    assert abs(naive.mean() - exact - bias) < standard_errors(naive, 3.0)
    assert bias > standard_errors(naive, 5.0)


def test_heavy_ball_is_unbiased_with_its_response_and_not_without():
    landscape = create_noisy_landscape(dim=5, noise_scale=1.0, spectrum=SPECTRUM, seed=2)
    x, buffer, lr = np.full(5, 0.7), np.linspace(-1.0, 1.0, 5), 0.2
    values, without = [], []
    for _ in range(3000):
        rows = landscape.sample_gradients(x, 4)
        step = lr * (0.9 * buffer + rows.mean(axis=0))
        fresh = landscape.sample_gradients(x - step, 4)
        for response, found in ((None, values), (0.0, without)):
            curvature = DirectionalCurvature().update(rows, lr, step=step, response=response)
            found.append(curvature.update(fresh, lr, step=step).reading().value)
    mean = 0.9 * buffer + landscape.gradient(x)
    exact = mean @ landscape.hessian_vector(x, mean) + sum(SPECTRUM) / 4
    assert abs(np.mean(values) - exact) < standard_errors(values, 3.0)
    assert np.mean(without) - exact > 3.0 * standard_errors(without, 3.0)


def test_given_the_step_of_plain_sgd_it_says_the_same(rng):
    plain, given = DirectionalCurvature(), DirectionalCurvature()
    for _ in range(20):
        rows = rng.normal(size=(4, 6))
        plain.update(rows, 0.3)
        given.update(rows, 0.3, step=0.3 * rows.mean(axis=0))
    assert plain.reading().value == pytest.approx(given.reading().value, rel=1e-12)
    assert plain.reading().kappa == pytest.approx(given.reading().kappa, rel=1e-12)


def epoch_values(rng, population, batch_size, lr, correct):
    """Return A of the steps within one epoch, drawn without replacement, x reset after each."""
    spectrum, x = np.array(SPECTRUM), np.full(5, 0.1)
    values = []
    for pair in rng.permutation(population).reshape(-1, 2, batch_size, 5):
        rows = spectrum * x + pair[0]
        fresh = spectrum * (x - lr * rows.mean(axis=0)) + pair[1]
        reading = DirectionalCurvature().update(rows, lr).update(fresh, lr).reading()
        added = np.sum(rows.var(axis=0, ddof=1)) / len(population) / lr  # Q as one would report it
        values.append(reading.value + (added if correct else 0.0))
    return values


def test_without_replacement_the_uncorrected_signal_is_the_unbiased_one(rng):
    population = rng.normal(size=(24, 5))
    population -= population.mean(axis=0)
    lr, batch_size = 0.1, 4
    values, corrected = (
        np.ravel([epoch_values(rng, population, batch_size, lr, c) for _ in range(1200)])
        for c in (False, True)
    )
    gradient = np.array(SPECTRUM) * 0.1
    variance = population.var(axis=0, ddof=1)
    share = (1.0 - batch_size / 24) / batch_size  # a mean of 4 of 24
    exact = gradient @ (SPECTRUM * gradient) + np.dot(SPECTRUM, variance) * share
    assert abs(values.mean() - exact) < standard_errors(values, 3.0)
    assert corrected.mean() - exact == pytest.approx(
        variance.sum() / (24 * lr), abs=standard_errors(corrected, 3.0)
    )
    assert corrected.mean() - exact > 5.0 * standard_errors(corrected, 1.0)


# A run of steps


def run(seed, *, steps, start, lr=0.1, spectrum=SPECTRUM, noise=0.5, decay=0.99, batch_size=8):
    """Return the estimator after a run, and Σ decay^age of sᵀHs and |s|², exactly."""
    rng, spectrum = np.random.default_rng(seed), np.asarray(spectrum)
    x, bend, length = np.full(spectrum.size, start), 0.0, 0.0
    curvature, step = DirectionalCurvature(decay=decay), np.zeros(spectrum.size)
    for _ in range(steps):
        rows = spectrum * x + noise * rng.normal(size=(batch_size, spectrum.size))
        curvature.update(rows, lr)
        bend = decay * bend + step @ (spectrum * step)
        length = decay * length + step @ step
        step = lr * rows.mean(axis=0)
        x = x - step
    return curvature, bend, length


@pytest.mark.slow
@pytest.mark.parametrize("start", [0.0, 1.0], ids=["at the floor", "on the way down"])
@pytest.mark.parametrize("steps", [30, 120])
def test_95_percent_intervals_cover_the_curvature_of_the_steps_made(start, steps):
    inside = []
    for seed in range(200):
        curvature, bend, length = run(seed, steps=steps, start=start)
        low, high = curvature.reading().curvature_interval
        inside.append(low <= bend / length <= high)
    assert np.mean(inside) > 0.90 - 2.0 * math.sqrt(0.05 * 0.95 / 200)


@pytest.mark.slow
def test_terms_of_neighbouring_steps_cancel_and_the_error_knows_it():
    # Far from the optimum the noise of each gradient enters two terms with opposite signs.
    settings = {"steps": 400, "start": 1e3, "spectrum": [1e-3] * 5, "noise": 0.1}
    readings = [run(s, decay=0.97, **settings)[0].reading() for s in range(60)]
    spread = np.std([r.value for r in readings], ddof=1)
    errors = math.sqrt(np.mean([r.standard_error**2 for r in readings]))
    assert 0.5 < errors / spread < 2.0
    terms = [run(s, decay=0.0, **settings)[0].reading().value for s in range(60)]
    independent = np.std(terms, ddof=1) * math.sqrt(0.03 / 1.97)  # of that average, were steps independent
    assert independent > 3.0 * spread


def test_nothing_is_significant_where_there_is_no_curvature_and_much_where_there_is():
    flat = [run(s, steps=60, start=1e6, spectrum=[1e-9] * 20)[0].reading() for s in range(200)]
    assert np.mean([r.significant for r in flat]) < 0.05 + 4.0 * math.sqrt(0.05 * 0.95 / 200)
    bent = run(0, steps=200, start=0.0, spectrum=[2.0] * 20)[0].reading()
    assert bent.significant and bent.status is DirectionalStatus.OK
    assert bent.curvature == pytest.approx(2.0, rel=0.3)
    assert bent.kappa == pytest.approx(0.1 * bent.curvature)
    assert bent.kappa_interval == pytest.approx(tuple(0.1 * end for end in bent.curvature_interval))
    assert abs(bent.t_value) == pytest.approx(bent.value / bent.standard_error)
    tiny = run(0, steps=200, start=0.0, spectrum=[2.0] * 20, lr=1e-6)[0].reading()
    assert tiny.status is DirectionalStatus.INSIGNIFICANT and not tiny.significant


def test_fiellers_interval_has_no_ends_while_gradients_shrink():
    curvature, bend, length = run(0, steps=60, start=10.0, spectrum=[2.0] * 5)
    averages = curvature._averages
    v = averages.covariance()
    t = student_t_quantile(0.95, v.degrees_of_freedom)
    fieller = fieller_interval(averages.first, averages.second, v.first, v.second, v.both, t)
    low, high = curvature.reading().curvature_interval
    assert fieller == (0.0, math.inf)
    assert low <= bend / length <= high < 1.1 * 2.0


def test_negative_curvature_is_read_with_its_sign():
    reading = run(0, steps=60, start=0.1, spectrum=[-1.0] * 5)[0].reading()
    assert reading.curvature_interval[1] < 0.0 and reading.kappa < 0.0 and reading.significant
