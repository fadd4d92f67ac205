from __future__ import annotations

import math

import pytest

from nalr import Moments
from nalr.policies.noise_adaptive.gradient import GradientLevel

EXPLOSION = 100.0


def take(level, squared_norm, times=1):
    for _ in range(times):
        moments = Moments(4, 4.0, 2, squared_norm, 0.0, step_product=math.nan)
        level.update(moments, 0.1, in_kick=False, explosion=EXPLOSION)


def test_gradients_are_averaged_over_the_steps_before():
    level = GradientLevel()
    take(level, 4.0)
    assert level.typical is None
    take(level, 100.0)
    assert level.typical == pytest.approx(4.0)


def test_one_outlier_hardly_moves_what_is_usual():
    level = GradientLevel()
    take(level, 1.0, 200)
    take(level, 1e12, 2)
    # It counts as sixteen, with a weight of one in fifty.
    assert level.typical == pytest.approx(1.0 + 0.02 * 15.0, rel=0.03)


def test_explosions_in_a_row_are_counted_from_the_size_that_was_given():
    level, counts = GradientLevel(), []
    take(level, 1.0, 200)
    for squared_norm in (0.99 * EXPLOSION, 2.0 * EXPLOSION, 2.0 * EXPLOSION, 1.0):
        take(level, squared_norm)
        counts.append(level.above)
    assert counts == [0, 1, 2, 0]


def test_begin_forgets_what_is_usual_so_that_new_gradients_are_no_explosion():
    level = GradientLevel()
    take(level, 1.0, 200)
    take(level, 400.0, 3)
    assert level.above == 3
    level.begin()
    assert level.typical is None and level.above == 0
    take(level, 400.0, 2)
    assert level.typical == pytest.approx(400.0)
    assert level.recent < 500.0
