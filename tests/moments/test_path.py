from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.arrays.gradients import as_rows, as_vector
from nalr.moments.path import Path
from nalr.moments.rows import RowAccumulator
from tests.oracles import path_sums


def moments_of(gradient, num_rows=2):
    accumulator = RowAccumulator()
    accumulator.add_rows(as_rows("rows", np.repeat(gradient.reshape(1, -1), num_rows, axis=0)))
    return accumulator.moments()


def walk(gradients, rates, params=None, forgetting=0.01, num_rows=2):
    path = Path(decay=0.9)
    sums = None
    for step, gradient in enumerate(gradients):
        lr = rates[step - 1] if step else 0.0
        position = None if params is None else as_vector("params", params[step])
        sums = path.advance(moments_of(gradient, num_rows), gradient, lr, position, forgetting)
    return path, sums


@pytest.fixture
def descent(rng):
    gradients = [rng.normal(size=50) for _ in range(30)]
    rates = list(rng.uniform(0.01, 1.0, size=29))
    params = [np.zeros(50)]
    for lr, gradient in zip(rates, gradients, strict=False):
        params.append(params[-1] - lr * gradient)
    return gradients, rates, params


def test_sums_equal_those_of_the_whole_path_at_once(descent):
    gradients, rates, _ = descent
    _, sums = walk(gradients, rates)
    expected = path_sums(gradients, rates, forgetting=0.01, decay=0.9)
    got = (
        sums.step_product,
        sums.step_squared_norm,
        sums.displacement_product,
        sums.displacement_squared_norm,
    )
    assert got == pytest.approx(expected, rel=1e-10)
    assert sums.previous_product == pytest.approx(float(gradients[-1] @ gradients[-2]), rel=1e-12)


def test_parameters_given_equal_plain_descent_assumed(descent):
    gradients, rates, params = descent
    _, assumed = walk(gradients, rates)
    _, given = walk(gradients, rates, params)
    for name in ("step_product", "step_squared_norm", "displacement_product", "displacement_squared_norm"):
        assert getattr(given, name) == pytest.approx(getattr(assumed, name), rel=1e-9)


def test_the_product_with_the_gradient_before_is_kept_for_one_row_steps_only(descent):
    gradients, rates, params = descent
    many, sums = walk(gradients, rates, params)
    assert math.isnan(sums.previous_product)
    assert many.last_gradient.size == 0
    _, sums = walk(gradients, rates, params, num_rows=1)
    assert sums.previous_product == pytest.approx(float(gradients[-1] @ gradients[-2]), rel=1e-12)


def test_the_first_step_has_no_path():
    _, sums = walk([np.ones(3)], [])
    assert math.isnan(sums.step_product)
    assert math.isnan(sums.displacement_product)


def test_the_signal_is_the_derivative_of_the_loss_by_the_log_rate_along_a_slow_direction():
    curvature, lr, start, steps = 1e-3, 0.1, 5.0, 200

    def end(rate):
        return start * (1.0 - rate * curvature) ** steps

    position = end(lr)
    slope = 0.5 * curvature * (end(lr * 1.0001) ** 2 - end(lr / 1.0001) ** 2) / (2.0 * math.log(1.0001))
    assert curvature * position * (start - position) == pytest.approx(-slope, rel=0.02)


def test_a_step_too_large_to_square_begins_a_new_path():
    path = Path()
    path.advance(moments_of(np.ones(3)), np.ones(3), 0.0, None, 0.0)
    sums = path.advance(moments_of(np.ones(3)), np.ones(3), 1e200, None, 0.0)
    assert math.isnan(sums.step_product)
    np.testing.assert_array_equal(path.displacement, np.zeros(3))


def test_state_resumes_exactly(descent):
    gradients, rates, _ = descent
    whole, sums = walk(gradients, rates)
    half, _ = walk(gradients[:15], rates[:14])
    resumed = Path(decay=0.9)
    resumed.load_state_dict(half.state_dict())
    for step in range(15, 30):
        last = resumed.advance(moments_of(gradients[step]), gradients[step], rates[step - 1], None, 0.01)
    assert last == sums
    np.testing.assert_array_equal(resumed.displacement, whole.displacement)
