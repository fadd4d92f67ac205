from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nalr import NoiseEstimator
from nalr.arrays.gradients import as_rows
from nalr.moments.rows import RowAccumulator
from nalr.noise.jackknife import row_products, squared_covariance_trace, within_step_covariance
from nalr.noise.reading import NoiseStatus
from tests.tolerances import standard_errors


def plain_jackknife(rows):
    """Return the delete-one jackknife's variance of |G|², written as it is defined."""
    k = len(rows)
    left_out = []
    for i in range(k):
        rest = np.delete(rows, i, axis=0)
        left_out.append((rest.mean(axis=0) ** 2).sum() - rest.var(axis=0, ddof=1).sum() / (k - 1))
    return (k - 1) ** 2 / k * np.var(left_out, ddof=1)


def of_step(rows, weights=None):
    checked, accumulator = as_rows("rows", rows), RowAccumulator()
    weights = None if weights is None else np.asarray(weights, dtype=float)
    accumulator.add_rows(checked, weights)
    return within_step_covariance(checked, accumulator.mean, accumulator.moments(), weights)


def trace_of_square(rows):
    checked = as_rows("rows", rows)
    return squared_covariance_trace(row_products(checked, np.zeros(checked.dimension), len(checked))[2])


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_squared_covariance_trace_equals_the_sums_over_different_rows(rng, kind, order):
    rows = np.asarray(rng.normal(size=(6, 9)) + 3.0, dtype=kind, order=order)
    exact = rows.astype(float)
    gram = exact @ exact.T
    pairs = np.mean([gram[i, j] ** 2 for i, j in itertools.permutations(range(6), 2)])
    triples = np.mean([gram[i, j] * gram[j, m] for i, j, m in itertools.permutations(range(6), 3)])
    fours = np.mean([gram[i, j] * gram[m, n] for i, j, m, n in itertools.permutations(range(6), 4)])
    found = trace_of_square(rows)
    assert found == pytest.approx(pairs - 2.0 * triples + fours, rel=1e-9)


def test_squared_covariance_trace_is_unbiased_where_the_plug_in_is_not(rng):
    variances = np.array([4.0, 2.0, 1.0, 0.5, 0.5, 0.5])
    found, plug_in = [], []
    for _ in range(4000):
        rows = 5.0 + np.sqrt(variances) * (rng.exponential(size=(8, 6)) - 1.0)
        found.append(trace_of_square(rows))
        plug_in.append((np.cov(rows.T) ** 2).sum())
    truth = float((variances**2).sum())
    assert abs(np.mean(found) - truth) < standard_errors(found, 3.0)
    assert np.mean(plug_in) - truth > standard_errors(plug_in, 10.0)


def test_squared_covariance_trace_reads_many_columns_in_windows(rng):
    rows = rng.normal(size=(5, 20_001))
    whole = trace_of_square(rows)
    layers = [rows[:, :7].copy(), rows[:, 7:9000].copy(), rows[:, 9000:].copy()]
    assert trace_of_square(layers) == pytest.approx(whole, rel=1e-9)


@pytest.mark.slow
def test_without_signal_the_plain_jackknife_is_twice_too_wide_and_ours_is_not(rng):
    parts, plain, signals = [], [], []
    for _ in range(2000):
        rows = rng.normal(size=(16, 200))
        parts.append(of_step(rows))
        plain.append(plain_jackknife(rows))
        signals.append((rows.mean(axis=0) ** 2).sum() - rows.var(axis=0, ddof=1).sum() / 16)
    truth = np.var(signals, ddof=1)
    assert np.mean(plain) == pytest.approx(2.0 * 15 / 14 * truth, rel=0.1)
    assert np.mean([part.pairs for part in parts]) == pytest.approx(truth, rel=0.1)
    rows_part = [part.rows for part in parts]
    assert abs(np.mean(rows_part)) < standard_errors(rows_part, 4.0)
    assert parts[0].per_signal == pytest.approx(4.0 / 16, rel=0.2)  # 4 tr Σ²/(B tr Σ), Σ the identity
    assert np.mean(np.abs(signals) < 2.131 * np.sqrt(plain)) > 0.985


def test_the_part_that_grows_with_the_signal_is_that_of_theory(rng):
    variances = np.array([4.0, 1.0, 0.25])
    mean = np.array([1.0, 2.0, 3.0])
    parts = [of_step(mean + np.sqrt(variances) * rng.normal(size=(8, 3))) for _ in range(4000)]
    rows, pairs = [part.rows for part in parts], [part.pairs for part in parts]
    truth = 4.0 * (mean**2 * variances).sum() / 8
    assert abs(np.mean(rows) - truth) < standard_errors(rows, 4.0)
    assert abs(np.mean(pairs) - 2.0 * (variances**2).sum() / (8 * 7)) < standard_errors(pairs, 4.0)


@pytest.mark.slow
@pytest.mark.parametrize("signal", [1.0, 0.1, 0.01, 1e-4])
@pytest.mark.parametrize("steps", [1, 4])
def test_intervals_from_the_rows_cover_at_every_signal_where_plus_minus_t_does_not(rng, signal, steps):
    rows, dim, draws = 16, 10, 1500
    truth = (float(dim), signal * dim, 1.0 / signal)
    hits, plain_hits = np.zeros(3), 0
    for _ in range(draws):
        estimator = NoiseEstimator(decay=0.999)
        for _ in range(steps):
            batch = math.sqrt(signal) + rng.normal(size=(rows, dim))
            estimator.update(batch)
        reading = estimator.reading()
        intervals = (
            reading.total_variance_interval,
            reading.signal_interval,
            reading.gradient_noise_scale_interval,
        )
        hits += [low <= value <= high for value, (low, high) in zip(truth, intervals, strict=True)]
        error = 2.131 * math.sqrt(plain_jackknife(batch)) if steps == 1 else math.nan
        plain_hits += abs(estimator.signal - truth[1]) <= error
    sampling = 3.0 * math.sqrt(0.05 * 0.95 / draws)
    assert np.all(hits / draws >= 0.93 - sampling) and np.all(hits / draws <= 0.97 + sampling), hits / draws
    if steps == 1 and signal <= 0.01:
        assert plain_hits / draws > 0.97


def test_with_signal_alone_the_jackknife_stands(rng):
    rows = 10.0 + 0.001 * rng.normal(size=(8, 50))
    assert of_step(rows).rows == pytest.approx(plain_jackknife(rows), rel=1e-4)


def test_unequal_weights_keep_the_plain_jackknife(rng):
    rows = rng.normal(size=(8, 50))
    uneven = of_step(rows, [1.0] * 7 + [1.0 + 1e-9])
    assert (uneven.pairs, uneven.rows) == (pytest.approx(plain_jackknife(rows), rel=1e-6), 0.0)


def test_equal_weights_change_the_unit_alone(rng):
    rows = 0.3 + rng.normal(size=(8, 50))
    single, of_ten = NoiseEstimator().update(rows), NoiseEstimator().update(rows, weights=[10.0] * 8)
    assert of_ten.reading().signal_interval == pytest.approx(single.reading().signal_interval, rel=1e-10)
    tens = 10.0 * np.array(single.reading().total_variance_interval)
    assert of_ten.reading().total_variance_interval == pytest.approx(tuple(tens), rel=1e-10)


def test_rows_without_noise_leave_nothing_to_chance():
    reading = NoiseEstimator().update(np.full((5, 3), 2.0)).reading()
    assert reading.signal_interval == (12.0, 12.0)
    assert reading.total_variance_interval == (0.0, 0.0)


def test_a_large_part_of_the_population_leaves_less_to_chance(rng):
    data = 0.5 + rng.normal(size=(40, 30))
    truth = data.var(axis=0, ddof=1).sum()
    widths = []
    for population in (None, 40):
        reading = NoiseEstimator(population=population).update(data[:30]).reading()
        low, high = reading.total_variance_interval
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] * math.sqrt(1.0 - 30 / 40), rel=1e-9)
    low, high = NoiseEstimator(population=40).update(data).reading().total_variance_interval
    assert low == pytest.approx(truth) and high == pytest.approx(truth)


def test_intervals_of_the_first_steps_require_four_rows_in_every_step(rng):
    estimator = NoiseEstimator()
    for rows, status in ((6, NoiseStatus.OK), (3, NoiseStatus.FEW), (6, NoiseStatus.FEW)):
        assert estimator.update(5.0 + rng.normal(size=(rows, 9))).reading().status is status
