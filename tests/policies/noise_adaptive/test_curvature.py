from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import Moments
from nalr.arrays.gradients import as_rows
from nalr.moments.rows import RowAccumulator
from nalr.policies.noise_adaptive.curvature import StepCurvature


def test_reach_is_one_at_the_line_minimum_and_two_at_the_edge():
    # One direction of curvature 4, no noise: the line minimum is at 1/4, the edge of stability at 1/2.
    for lr, expected in ((0.125, 0.5), (0.25, 1.0), (0.5, 2.0)):
        curvature, x, before = StepCurvature(), 1.0, 0.0
        for step in range(6):
            gradient = 4.0 * x
            moments = Moments(2, 2.0, 1, gradient**2, 0.0)
            if step:
                moments = moments._replace(
                    step_product=gradient * lr * before, step_squared_norm=(lr * before) ** 2
                )
            curvature.update(moments, lr, lr)
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
            curvature.update(moments, lr, lr)
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
    x, lr, before, pairs = 1.0, 0.2, 0.0, []
    for _ in range(steps):
        gradient = 1.5 * math.sqrt(x)
        moments = Moments(rows, float(rows), 1, gradient**2, 0.0)
        if before:
            moments = moments._replace(
                step_product=gradient * lr * before, step_squared_norm=(lr * before) ** 2
            )
        curvature.update(moments, lr, lr)
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
