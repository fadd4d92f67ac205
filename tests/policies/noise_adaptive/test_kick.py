from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.policies import NoiseAdaptive, Reason
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.kick import Kick, KickSettings
from nalr.policies.noise_adaptive.progress import Progress
from nalr.policies.noise_adaptive.view import Course
from tests.policies.cases import decide, evidence
from tests.policies.noise_adaptive.cases import level, plan, view

SETTINGS = KickSettings()
STILL = {"progress": Progress(unmoved=1000, unpromising=True), "curvature": StepCurvature(steep=0.5)}
"""A run that stands still, for whatever reason."""


def new_kick(pace=1.0, **settings):
    return Kick(KickSettings(**settings), plan(round(2000 / pace), pace), 2000 / pace, 0.5, 10.0)


def kicked(levels, squared_norms=None, pace=1.0):
    """Feed a kick that begins at step 100 and rate .01 with smoothed losses; return its moves."""
    kick, moves = new_kick(pace), []
    move = kick.judge(view(**STILL), Course(0.01))
    assert move.reason is Reason.KICK and move.rate == pytest.approx(0.01 * SETTINGS.kick_jump)
    for step, value in enumerate(levels):
        norm = 1.0 if squared_norms is None else squared_norms[step]
        seen = view(step=101 + step, level=level(value), squared_norm=norm, **STILL)
        move = kick.judge(seen, Course(move.rate, in_kick=True))
        moves.append(move)
        if move.reason is not Reason.KICK:
            break
    return kick, moves


def test_a_kick_that_finds_lower_ground_is_kept_at_the_rate_that_found_it_and_cools():
    kick, moves = kicked([11.0] * 20 + [9.0])
    assert moves[-1].reason is Reason.KICK_KEPT
    assert moves[-1].rate == pytest.approx(moves[-2].rate) and moves[-1].cooling
    assert not kick.state.failures


def test_the_rate_grows_step_by_step_while_the_trial_goes_on():
    _, moves = kicked([11.0] * 10)
    rates = [move.rate for move in moves]
    np.testing.assert_allclose(np.diff(np.log(rates)), SETTINGS.kick_growth)


def test_a_fall_smaller_than_the_rise_on_the_way_does_not_keep_a_kick():
    _, moves = kicked([13.0] * 20 + [9.0])
    assert moves[-1].reason is Reason.KICK


def test_an_explosion_above_the_bounds_rolls_a_kick_back_at_once():
    kick, moves = kicked([11.0, 30.0], [1.0, 11.0])
    assert (moves[-1].rate, moves[-1].reason) == (0.01, Reason.KICK_ROLLED_BACK)
    assert kick.state.failures == 1 and not moves[-1].cooling


@pytest.mark.parametrize("pace", [1.0, 3.0])
def test_patience_with_a_high_loss_ends_the_sooner_the_shorter_the_run(pace):
    _, moves = kicked([30.0] * 100, pace=pace)
    assert len(moves) == math.floor(SETTINGS.kick_patience / pace) + 1
    assert (moves[-1].rate, moves[-1].reason) == (0.01, Reason.KICK_ROLLED_BACK)


@pytest.mark.parametrize(
    ("value", "reason"), [(11.0, Reason.KICK_KEPT), (13.5, Reason.KICK_ROLLED_BACK)], ids=["bounded", "high"]
)
def test_the_search_ends_and_a_loss_that_stayed_bounded_speaks_for_bumps(value, reason):
    _, moves = kicked([value] * 400)
    assert moves[-1].reason is reason
    assert SETTINGS.kick_search < len(moves) < 400
    growth = math.exp(SETTINGS.kick_growth)
    assert max(move.rate for move in moves) < 0.01 * SETTINGS.kick_most * growth


def test_one_kick_that_failed_is_enough():
    kick, _ = kicked([30.0] * 100)
    assert kick.judge(view(step=300, **STILL), Course(0.01)) is None


def test_no_kick_late_in_the_run_or_while_cooling():
    assert new_kick().judge(view(step=599, **STILL), Course(0.01)).reason is Reason.KICK
    assert new_kick().judge(view(step=600, **STILL), Course(0.01)) is None
    assert new_kick().judge(view(**STILL), Course(0.01, cooling=True)) is None


def test_a_run_that_bounces_over_bumps_already_cools_at_once():
    bouncing = STILL | {"gradient": GradientLevel(recent=100.0, persistence=0.0), "noise": 1.0}
    move = new_kick().judge(view(**bouncing), Course(0.01))
    assert (move.rate, move.reason, move.cooling) == (0.01, Reason.COOL, True)


def test_a_kick_that_runs_away_is_rolled_back_to_less_than_the_rate_before():
    policy = NoiseAdaptive()
    policy.begin(0.01, 1e-8, 1e4, 2000, 20)
    rng = np.random.default_rng(3)
    decide(policy, rng, 60)
    policy._apply(policy._kick.judge(view(step=60, loss=9.4, **STILL), policy._course), 60)
    before = policy._kick.state.rate
    decision = policy.decide(evidence(rng, 61, policy._course.rate, loss=1e4))
    assert decision.reason is Reason.KICK_ROLLED_BACK
    assert decision.evidence["peak_lr"] == pytest.approx(policy.settings.cut * before)
