from __future__ import annotations

import numpy as np

from nalr.policies.noise_adaptive.cooling import Cooling, CoolingSettings
from nalr.policies.noise_adaptive.view import Course
from tests.policies.noise_adaptive.cases import view


def cooled(total_steps, start, rate, steps):
    """Return the moves of a descent at these steps."""
    cooling = Cooling(CoolingSettings(), total_steps)
    cooling.begin(start, rate)
    return [cooling.judge(view(step=step), Course(rate, cooling=True)) for step in steps]


def test_after_a_kick_the_rate_comes_down_in_a_straight_line_to_zero_at_the_horizon():
    moves = cooled(2000, 400, 0.8, (400, 800, 1200, 1999, 2000))
    np.testing.assert_allclose([move.rate for move in moves], [0.8, 0.6, 0.4, 0.0005, 0.0])
    assert [move.cooling for move in moves] == [None, None, None, None, False]


def test_without_a_horizon_it_comes_down_to_a_part_of_its_rate():
    settings = CoolingSettings()
    middle, end = cooled(None, 300, 0.9, (300 + settings.cool_steps // 2, 300 + settings.cool_steps))
    np.testing.assert_allclose(end.rate, 0.9 / settings.cool_factor)
    np.testing.assert_allclose(middle.rate, np.mean([0.9, end.rate]))
    assert end.cooling is False


def test_there_is_no_descent_unless_a_kick_was_kept():
    assert Cooling(CoolingSettings(), 2000).judge(view(), Course(0.1)) is None
