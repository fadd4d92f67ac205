from __future__ import annotations

import math

import pytest

from nalr.policies import Reason
from nalr.policies.noise_adaptive.blow_up import BlowUp, BlowUpSettings
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.harm import Harm, HarmSettings
from nalr.policies.noise_adaptive.view import Course
from tests.policies.noise_adaptive.cases import level, plan, view

RISEN = level(value=11.5, standard_error=0.1, attributed=1.5)
"""Of two units gained, one and a half are lost again, and the gradients know of it."""


def harm(course=None, **seen):
    return Harm(HarmSettings(), plan()).judge(view(**seen), course or Course(0.1, seen=100))


def blow_up(seen=100, blown=None, **shown):
    return BlowUp(BlowUpSettings(), plan()).judge(view(**shown), Course(0.1, seen=seen, blown=blown))


def test_a_rise_of_the_loss_that_the_steps_caused_cuts_the_rate_and_begins_a_stretch():
    move = harm(level=RISEN)
    assert move.reason is Reason.CUT and move.rate < 0.1
    assert move.stretch.harm and move.stretch.pause == plan().cooldown and move.ends_search


@pytest.mark.parametrize(
    "otherwise",
    [
        {"level": level(value=11.5, standard_error=1.0, attributed=1.5)},
        {"level": level(value=10.5, standard_error=0.1, attributed=0.5)},
        {"level": level(value=11.5, standard_error=0.1, attributed=0.0)},
        {"level": RISEN, "curvature": StepCurvature(reach=0.1)},
        {"level": RISEN, "course": Course(0.1, seen=100, pause=3)},
        {"level": RISEN, "course": Course(0.1, seen=100, cooling=True)},
    ],
    ids=["chance", "small", "not the steps", "short steps", "pause", "bounded while cooling"],
)
def test_a_rise_for_another_reason_is_no_harm(otherwise):
    assert harm(**otherwise) is None


def test_without_a_path_the_loss_alone_decides():
    unexplained = level(value=11.5, standard_error=0.1)
    assert harm(level=unexplained, pathless=True).reason is Reason.CUT


def test_a_gradient_that_exploded_beyond_the_edge_is_cut_to_the_line_minimum():
    move = blow_up(squared_norm=1e4, curvature=StepCurvature(reach=50.0))
    assert move.reason is Reason.BLOW_UP and move.stretch.explosion
    assert move.rate == pytest.approx(0.1 / 50.0)


def test_a_gradient_that_grew_at_short_steps_did_not_explode():
    assert blow_up(squared_norm=1e4, curvature=StepCurvature(reach=0.5)) is None
    assert blow_up(squared_norm=10.0) is None


def test_one_loss_far_above_all_that_was_gained_has_run_away():
    assert blow_up(loss=1e3, level=level(calm=0.1)).reason is Reason.BLOW_UP
    assert blow_up(loss=1e3, level=level(calm=1e3)) is None  # such losses are common here
    assert blow_up(loss=13.0, level=level(calm=0.1)) is None


def test_an_explosion_is_not_cut_again_before_its_cut_has_shown():
    wait = BlowUpSettings().blow_up_wait
    assert blow_up(seen=100, blown=100 - wait, squared_norm=1e4) is None
    assert blow_up(seen=101, blown=100 - wait, squared_norm=1e4) is not None


def test_in_the_first_steps_one_that_ends_further_up_the_other_side_is_cut_and_the_search_goes_on():
    over = StepCurvature(reach=3.0, overshot=True)
    early = blow_up(seen=3, curvature=over)
    assert early.reason is Reason.BLOW_UP and not early.ends_search
    assert blow_up(seen=50, curvature=over) is None


def test_the_cut_is_bounded_where_curvature_is_measured_badly():
    move = blow_up(squared_norm=1e9, curvature=StepCurvature(reach=1e9))
    assert move.rate == pytest.approx(0.1 * BlowUpSettings().blow_up_least)
    assert math.isfinite(move.rate)
