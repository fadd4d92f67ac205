from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.moments.plain_step import is_plain_step
from nalr.moments.record import Moments


def after(step):
    """Return the sums of a step whose parameters moved by `step`."""
    return Moments.from_rows(np.ones((2, 3)))._replace(step_squared_norm=float(step @ step))


def test_a_step_of_sgd_is_plain_though_float32_rounds_it(rng):
    gradient, lr = rng.normal(size=1000), 0.3
    step = (lr * gradient).astype(np.float32).astype(float)
    assert is_plain_step(after(step), lr * lr * float(gradient @ gradient))


def test_steps_of_momentum_and_of_adam_are_not(rng):
    gradient, velocity, lr = rng.normal(size=1000), rng.normal(size=1000), 0.3
    squared_length = lr * lr * float(gradient @ gradient)
    assert not is_plain_step(after(lr * (gradient + 0.9 * velocity)), squared_length)
    assert not is_plain_step(after(lr * np.sign(gradient) * 1.1), squared_length)


@pytest.mark.parametrize(("length", "expected"), [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)])
def test_a_length_that_is_not_known_is_not_plain(length, expected):
    moments = Moments.from_rows(np.ones((2, 3)))._replace(step_squared_norm=length)
    assert not is_plain_step(moments, expected)
