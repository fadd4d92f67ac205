"""A rate that has sunk by powers of ten is told once, and searched for again."""

from __future__ import annotations

import math
import warnings

import pytest

from nalr._checks import NoiseWarning
from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.agreement import Agreement
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings
from nalr.policies.noise_adaptive.sunk import Sunk
from nalr.policies.noise_adaptive.view import Course, Move
from tests.policies.noise_adaptive.cases import view

SETTINGS = NoiseAdaptiveSettings()
POINTS_UP = DisplacementSignal(window=10.0, deviation=2.0 * SETTINGS.certainty)


def lowered(reason, factor=0.5, steps=12, peak=0.1):
    """Return a rule that has seen a rate that served, and what took it down, with the rate it came to."""
    sunk, rate = Sunk(SETTINGS, SETTINGS.certainty), peak
    sunk.follow(Move(peak, Reason.GROW), view(), 0.5 * peak)
    for _ in range(steps):
        sunk.follow(Move(factor * rate, reason), view(), rate)
        rate *= factor
    return sunk, rate


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Reason.CUT, "12 x by a rise of the loss that the steps caused"),
        (Reason.BLOW_UP, "12 x by a rise of the loss that the steps caused"),
        (Reason.EDGE, "12 x by steps past the lowest point along them"),
        (Reason.SHRINK, "12 x by the signal, which asked for a smaller rate"),
        (Reason.LEVEL, "12 x by another level of the loss, which no step explains"),
    ],
)
def test_it_is_told_once_with_its_cause(reason, cause):
    sunk, rate = lowered(reason)
    with pytest.warns(
        NoiseWarning, match=f"has sunk from 0.1 to 2.44e-05 by step 500: {cause}. It is searched"
    ):
        sunk.tell(rate, 500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sunk.tell(rate, 501)


@pytest.mark.parametrize("reason", [Reason.ANNEAL, Reason.COOL, Reason.KICK_ROLLED_BACK])
def test_a_planned_descent_has_not_sunk(reason):
    sunk, rate = lowered(reason)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sunk.tell(rate, 500)


def test_a_new_search_begins_where_the_signal_is_full_and_nowhere_else():
    sunk, rate = lowered(Reason.EDGE)
    tracking = Course(rate=rate, seen=500, searching=False)
    assert sunk.judge(view(), tracking) is None
    assert sunk.judge(view(displacement=POINTS_UP, agreement=Agreement(follows=False)), tracking) is None
    assert sunk.judge(view(displacement=POINTS_UP), Course(rate=rate, seen=500, searching=True)) is None
    move = sunk.judge(view(displacement=POINTS_UP), tracking)
    assert move.begins_search and move.rate == rate and move.stretch is not None
    assert sunk.judge(view(displacement=POINTS_UP), tracking) is None  # one is enough


def test_a_rate_that_fell_less_has_not_sunk():
    sunk, rate = lowered(Reason.EDGE, steps=9)
    tracking = Course(rate=rate, seen=500, searching=False)
    assert math.isclose(rate, 0.1 / 512) and sunk.judge(view(displacement=POINTS_UP), tracking) is None


def test_the_state_goes_on():
    sunk, rate = lowered(Reason.EDGE)
    again = Sunk(SETTINGS, SETTINGS.certainty)
    again.load_state_dict(sunk.state_dict())
    assert again.judge(view(displacement=POINTS_UP), Course(rate=rate, seen=500, searching=False)) is not None
