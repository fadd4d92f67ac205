from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import Moments
from nalr.arrays.gradients import as_rows
from nalr.moments.rows import RowAccumulator
from nalr.policies import Evidence, NoiseAdaptiveSettings
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.measurements import Measurements
from nalr.policies.noise_adaptive.view import Course
from tests.policies.noise_adaptive.cases import plan
from tests.tolerances import standard_errors


def measure(curvature):
    """Return measurements with this κ among them."""
    measured = Measurements(NoiseAdaptiveSettings(), plan())
    measured.curvature = curvature
    return measured


def take(measured, moments, lr, loss):
    """Take in a step at a constant rate."""
    measured.update(Evidence(0, loss, lr, moments, math.nan), Course(lr), lr)


def test_reach_is_one_at_the_line_minimum_and_two_at_the_edge():
    # One direction of curvature 4, no noise: the line minimum is at 1/4, the edge of stability at 1/2.
    for lr, expected in ((0.125, 0.5), (0.25, 1.0), (0.5, 2.0)):
        curvature, x, before = StepCurvature(), 1.0, 0.0
        measured = measure(curvature)
        for step in range(6):
            gradient = 4.0 * x
            moments = Moments(2, 2.0, 1, gradient**2, 0.0)
            if step:
                moments = moments._replace(
                    step_product=gradient * lr * before, step_squared_norm=(lr * before) ** 2
                )
            take(measured, moments, lr, 2.0 * x * x)
            if step:
                assert curvature.reach == pytest.approx(expected)
                half = 0.5 * 4.0 * (x * x - (x + lr * before) ** 2)
                assert curvature.loss_change == pytest.approx(half, abs=1e-12)
            before = gradient
            x -= lr * gradient
            if abs(x) < 1e-9:
                break


@pytest.mark.slow
def test_reach_is_unbiased_under_noise_where_the_naive_form_is_not():
    rng = np.random.default_rng(5)
    lr, eigenvalues = 0.2, np.array([1.0, 0.5, 0.1, 0.1])
    reaches, naive = [], []
    for _ in range(400):
        curvature, x, before = StepCurvature(), np.zeros(4), None
        measured = measure(curvature)
        for step in range(40):
            rows = eigenvalues * x + rng.normal(size=(4, 4))
            gradient = rows.mean(axis=0)
            accumulator = RowAccumulator()
            accumulator.add_rows(as_rows("rows", rows))
            moments = accumulator.moments()
            if step:
                moments = moments._replace(
                    step_product=lr * float(gradient @ before),
                    step_squared_norm=lr**2 * float(before @ before),
                )
            take(measured, moments, lr, 0.5 * float(x @ (eigenvalues * x)))
            if step > 10:
                naive.append(1.0 - float(gradient @ before) / float(before @ before))
            before, x = gradient, x - lr * gradient
        reaches.append(curvature.change / curvature.length * lr)
    truth = lr * float(
        (eigenvalues * _stationary(lr, eigenvalues)).sum() / _stationary(lr, eigenvalues).sum()
    )
    error = np.std(reaches) / math.sqrt(len(reaches))
    assert np.mean(reaches) == pytest.approx(truth, abs=4.0 * error + 0.03)
    assert np.mean(naive) > 3.0 * truth  # |ḡ|² in the place of the unbiased |G|² sees noise as curvature


def _stationary(lr, eigenvalues):
    """E ḡ² a coordinate: noise 1/4 a step, plus eigenvalue² times the stationary variance of x."""
    variance = lr * 0.25 / (eigenvalues * (2.0 - lr * eigenvalues))
    return 0.25 + eigenvalues**2 * variance


class SlowAverage(StepCurvature):
    """The biased alternative: one memory for all steps."""

    CLEAR_DECAY = StepCurvature.DECAY


def curvature_towards_a_cusp(curvature, rows=2, steps=12):
    """Descend |x|^1.5, whose curvature rises without end at 0; return κ, and that of the last step alone."""
    x, lr, before, pairs, measured = 1.0, 0.2, 0.0, [], measure(curvature)
    for _ in range(steps):
        gradient = 1.5 * math.sqrt(x)
        moments = Moments(rows, float(rows), 1, gradient**2, 0.0)
        if before:
            moments = moments._replace(
                step_product=gradient * lr * before, step_squared_norm=(lr * before) ** 2
            )
        take(measured, moments, lr, x**1.5)
        if before:
            pairs.append((curvature.reach, 1.0 - gradient / before))
        before = gradient
        x = max(x - lr * gradient, 1e-3 * x)
    return np.array(pairs)


def test_reach_keeps_up_with_gradients_that_shrink_where_a_slow_average_lags():
    ours, truth = curvature_towards_a_cusp(StepCurvature(), steps=5).T
    slow, _ = curvature_towards_a_cusp(SlowAverage(), steps=5).T
    assert truth[-1] > 2.0 * truth[0]
    assert ours[-1] > 0.8 * truth[-1]
    assert slow[-1] < 0.65 * truth[-1]


def test_one_row_is_never_called_free_of_noise():
    one, slow = StepCurvature(), SlowAverage()
    np.testing.assert_array_equal(
        curvature_towards_a_cusp(one, rows=1), curvature_towards_a_cusp(slow, rows=1)
    )
    assert not one.clear and one.signal == one.squared_norm


def one_row_runs(runs=300, steps=40):
    """Descend a noisy bowl by plain SGD, one row a step; return what was measured, and the truth."""
    rng = np.random.default_rng(9)
    lr, eigenvalues = 0.2, np.array([1.0, 0.5, 0.1, 0.1])
    ends = []
    for _ in range(runs):
        measured, x, before, naive = measure(StepCurvature()), np.ones(4), None, 0.0
        bend = 0.0
        for _ in range(steps):
            gradient = eigenvalues * x + rng.normal(size=4)
            moments = Moments(1, 1.0, 4, float(gradient @ gradient), 0.0)
            if before is not None:
                slope = float(gradient @ before)
                moments = moments._replace(
                    step_product=lr * slope, step_squared_norm=lr * lr * float(before @ before)
                )
                bend += 0.5 * lr * lr * float(before @ (eigenvalues * before))
                naive -= 0.5 * lr * (float(before @ before) + slope)
            loss = 0.5 * float(x @ (eigenvalues * x)) + rng.normal()
            take(measured, moments, lr, loss)
            before, x = gradient, x - lr * gradient
        x_before = x + lr * before
        change = 0.5 * float(x_before @ (eigenvalues * x_before)) - 0.5 * float(eigenvalues.sum())
        ends.append((measured, change, bend, naive))
    return ends


def test_one_noisy_row_a_step_gives_no_curvature_and_its_account_is_not_biased_by_noise():
    ends = one_row_runs()
    assert all(measured.curvature.reach is None for measured, *_ in ends)
    assert all(measured.curvature.along_step is None for measured, *_ in ends)
    account = np.array([measured.level.account for measured, *_ in ends])
    change, bend, naive = np.array([numbers for _, *numbers in ends]).T
    # By the slope at the end of each step alone, f(x′) − f(x) + ½sᵀHs = −⟨∇f(x′), s⟩.
    off = account - change - bend
    assert np.mean(off) == pytest.approx(0.0, abs=standard_errors(off))
    assert np.mean(bend) < 0.15 * np.mean(change - naive)
    # By both slopes, the noise |ḡ|² = 4 of a row counts as a fall.
    assert np.mean(naive - change) == pytest.approx(-39 * 0.5 * 0.2 * 4.0, rel=0.1)
