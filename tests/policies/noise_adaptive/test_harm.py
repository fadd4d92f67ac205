from __future__ import annotations

import math

import pytest

from nalr.policies import Reason
from nalr.policies.noise_adaptive.blow_up import BlowUp, BlowUpSettings
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.harm import Harm, HarmSettings
from nalr.policies.noise_adaptive.overlap import StepOverlap
from nalr.policies.noise_adaptive.view import Course, Level
from tests.policies.noise_adaptive.cases import level, plan, view

RISEN = level(value=11.5, standard_error=0.1, attributed=1.5)
"""Of two units gained, one and a half are lost again, and the gradients know of it."""

EXPLODED = {"gradient": GradientLevel(typical=1.0, recent=1.0, above=1)}
"""The last gradient alone is far above what is usual."""


def harm(course=None, **seen):
    return Harm(HarmSettings(), plan()).judge(view(**seen), course or Course(0.1, seen=100))


def blow_up(seen=100, blown=None, rate=0.1, **shown):
    return BlowUp(BlowUpSettings(), plan()).judge(view(**shown), Course(rate, seen=seen, blown=blown))


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
    move = blow_up(curvature=StepCurvature(reach=50.0), **EXPLODED)
    assert move.reason is Reason.BLOW_UP and move.stretch.explosion
    assert move.rate == pytest.approx(0.1 / 50.0)


def test_a_gradient_that_grew_at_short_steps_did_not_explode():
    assert blow_up(curvature=StepCurvature(reach=0.5), **EXPLODED) is None


UPHILL = {"overlap": StepOverlap(cosine=0.0, last=-0.9)}
"""The last step alone ended uphill: the average does not show it yet."""


def test_one_loss_far_above_all_that_was_gained_has_run_away():
    c = BlowUpSettings()

    def ran_away(loss, calm=0.1, reach=1.5):
        """Judge a run that is taken to `loss` from a level of 10, of twelve at first."""
        seen = level(calm=calm, start=12.0, previous=10.0, count=50)
        seen.update(loss, 0.0, c.runaway_share, c.runaway_noise)
        return blow_up(loss=loss, level=seen, curvature=StepCurvature(reach=reach))

    assert ran_away(1e3).reason is Reason.BLOW_UP
    assert ran_away(1e3, calm=1e3) is None  # such losses are common here
    assert ran_away(13.0) is None
    assert ran_away(1e3, reach=0.9) is None  # short steps


def test_where_curvature_is_not_known_a_loss_runs_away_only_with_a_second_witness():
    # Best 10, now 1000: a rise of 990, of which the gradients' own account must show its share.
    share = BlowUpSettings().blow_up_attributed * 990.0

    def ran_away(account, **shown):
        seen = level(calm=0.1, account=account, above=1)
        return blow_up(**{"loss": 1e3, "level": seen, **UPHILL, **shown})

    assert ran_away(1.01 * share).reason is Reason.BLOW_UP
    assert ran_away(0.99 * share) is None  # a constant was added, or the data are others
    assert ran_away(1.01 * share, overlap=StepOverlap(last=-0.1)) is None  # the step ended on its way down
    assert ran_away(0.0, pathless=True).reason is Reason.BLOW_UP  # nothing shows what the steps did


def test_a_gradient_that_exploded_with_the_loss_unmoved_must_have_lost_by_its_own_account():
    # Two were gained: where the loss shows nothing, a part of that must have been lost by the account.
    c = BlowUpSettings()
    lost = c.blow_up_attributed * c.blow_up_lost * 2.0

    def exploded(account):
        return blow_up(level=level(account=account), **UPHILL, **EXPLODED)

    assert exploded(1.01 * lost).reason is Reason.BLOW_UP
    assert exploded(0.99 * lost) is None
    assert exploded(-1.0) is None  # by the gradients' account the run descends


def test_at_the_third_step_in_a_row_that_nothing_explains_it_is_another_loss_and_the_rate_is_kept():
    third, rate = BlowUpSettings().other_loss, plan().base_lr
    for above in range(1, third):
        assert blow_up(rate=rate, loss=1e3, level=level(calm=0.1, above=above)) is None
    move = blow_up(rate=rate, loss=1e3, level=level(calm=0.1, above=third))
    assert (move.reason, move.rate) == (Reason.LEVEL, rate)
    assert move.stretch.level is Level.NEW
    assert move.stretch.pause == 0 and not move.stretch.explosion


def test_gradients_that_grew_for_good_renew_their_own_level_and_keep_what_was_gained():
    third, rate = BlowUpSettings().other_loss, plan().base_lr

    def grown(above):
        return blow_up(rate=rate, gradient=GradientLevel(typical=1.0, recent=1.0, above=above))

    assert grown(third - 1) is None
    move = grown(third)
    assert (move.reason, move.rate) == (Reason.LEVEL, rate)
    assert move.stretch.level not in (Level.NEW, Level.KEPT)


def test_a_blow_up_moves_the_levels_and_counts_as_harm():
    move = blow_up(curvature=StepCurvature(reach=50.0), **EXPLODED)
    assert move.stretch.level is Level.MOVED and move.stretch.harm


def test_an_explosion_is_not_cut_again_before_its_cut_has_shown():
    wait = BlowUpSettings().blow_up_wait
    exploded = {"curvature": StepCurvature(reach=50.0), **EXPLODED}
    assert blow_up(seen=100, blown=100 - wait, **exploded) is None
    assert blow_up(seen=101, blown=100 - wait, **exploded) is not None


def test_in_the_first_steps_one_that_ends_further_up_the_other_side_is_cut_and_the_search_goes_on():
    over = StepCurvature(reach=3.0, overshot=True)
    early = blow_up(seen=3, curvature=over)
    assert early.reason is Reason.BLOW_UP and not early.ends_search
    assert blow_up(seen=50, curvature=over) is None


def test_the_cut_is_bounded_where_curvature_is_measured_badly():
    move = blow_up(curvature=StepCurvature(reach=1e9), **EXPLODED)
    assert move.rate == pytest.approx(0.1 * BlowUpSettings().blow_up_least)
    assert math.isfinite(move.rate)
