from __future__ import annotations

import math

import pytest

from nalr.policies import Reason
from nalr.policies.noise_adaptive.agreement import Agreement
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.growth import Growth, GrowthSettings
from nalr.policies.noise_adaptive.overlap import StepOverlap
from nalr.policies.noise_adaptive.view import Course
from tests.policies.noise_adaptive.cases import level, plan, view

UP = {"displacement": DisplacementSignal(window=10.0, deviation=3.0, signal=1.0)}
DOWN = {"displacement": DisplacementSignal(window=10.0, deviation=-3.0, signal=-1.0)}


def judge(course=None, searching=False, **seen):
    growth = Growth(GrowthSettings(), plan())
    return growth.judge(view(**seen), course or Course(1.0, searching=searching))


def test_after_the_search_the_rate_follows_the_signal():
    assert judge(**UP).reason is Reason.GROW and judge(**UP).rate > 1.0
    assert judge(**DOWN).reason is Reason.SHRINK and judge(**DOWN).rate < 1.0
    assert judge().reason is Reason.HOLD and judge().rate == 1.0


def test_each_cut_so_far_makes_growth_slower_and_shrinking_not():
    careful = Course(1.0, searching=False, cuts=3)
    assert 1.0 < judge(careful, **UP).rate < judge(**UP).rate
    assert judge(careful, **DOWN).rate == judge(**DOWN).rate


@pytest.mark.parametrize(
    "tight",
    [
        {"curvature": StepCurvature(reach=0.7)},
        {"curvature": StepCurvature(reach=0.1, steep=0.7)},
        {"overlap": StepOverlap(cosine=-0.09)},
        {"overlap": StepOverlap(cosine=0.5, relative_length=0.09)},
        {"gradient": GradientLevel(typical=1.0, recent=1.9)},
        {"floor": 0.5},
    ],
    ids=["κ", "slow κ", "overlap", "long steps", "growing gradients", "noise floor"],
)
def test_little_room_makes_growth_slow(tight):
    assert 1.0 < judge(**UP, **tight).rate < judge(**UP).rate


def test_a_run_that_gained_nothing_above_its_noise_floor_does_not_grow():
    assert judge(**UP, floor=0.5, level=level(first=10.0)).rate == 1.0


@pytest.mark.parametrize(
    "beyond", [{"curvature": StepCurvature(reach=1.5)}, {"overlap": StepOverlap(cosine=-0.3)}]
)
def test_beyond_the_edge_the_rate_backs_off_whatever_the_signal_says(beyond):
    move = judge(**UP, **beyond)
    assert move.reason is Reason.EDGE and move.rate < 1.0


def test_the_overlap_is_not_asked_where_curvature_is_known():
    assert judge(**UP, curvature=StepCurvature(reach=0.1), overlap=StepOverlap(cosine=-0.9)).rate > 1.0


def test_the_search_goes_on_without_a_signal_and_ends_by_one_against_it_or_at_the_edge():
    assert judge(searching=True).rate > 1.0
    assert judge(searching=True).reason is Reason.RAMP
    against = judge(searching=True, **DOWN)
    assert against.ends_search and against.rate == 1.0
    edge = judge(searching=True, curvature=StepCurvature(reach=1.5))
    assert edge.ends_search and edge.reason is Reason.EDGE


@pytest.mark.parametrize(
    "nothing", [{"pathless": True}, {"squared_norm": 0.0}, {"course": Course(1.0, pause=1)}]
)
def test_nothing_moves_in_a_pause_or_without_a_path_or_gradient(nothing):
    move = judge(**UP, **nothing)
    assert (move.rate, move.reason) == (1.0, Reason.HOLD)


UNPROVEN = {"agreement": Agreement(follows=False)}
"""The loss shows nothing of what its gradients account for. The base rate of the plan is .01."""


@pytest.mark.parametrize("searching", [True, False])
@pytest.mark.parametrize("signal", [UP, {}], ids=["up", "none"])
def test_a_loss_that_does_not_follow_is_no_reason_to_leave_the_base_rate_or_to_grow_above_it(
    searching, signal
):
    for rate in (plan().base_lr, 3.0 * plan().base_lr):
        move = judge(Course(rate, searching=searching), **signal, **UNPROVEN)
        assert (move.rate, move.reason) == (rate, Reason.HOLD)


@pytest.mark.parametrize("searching", [True, False])
def test_from_below_the_rate_returns_to_the_base_rate_and_holds_there(searching):
    rates = [0.1 * plan().base_lr]
    for _ in range(60):
        move = judge(Course(rates[-1], searching=searching), **UNPROVEN)
        rates.append(move.rate)
    assert rates[1] > rates[0] and rates == sorted(rates)
    assert rates[-1] == plan().base_lr and move.reason is Reason.HOLD
    assert rates[10] / rates[0] == pytest.approx(math.exp(GrowthSettings().ramp), rel=1e-6)  # in one window


def test_a_loss_that_does_not_follow_still_lets_the_rate_back_off_from_the_edge():
    edge = judge(Course(1.0, searching=False), **UP, **UNPROVEN, curvature=StepCurvature(reach=1.5))
    assert edge.reason is Reason.EDGE and edge.rate < 1.0


def test_a_loss_near_zero_by_construction_leaves_room_for_what_gradients_promised():
    flat = level(first=10.0, promised=2.0)  # no fall to show
    assert judge(**UP, floor=0.1, level=flat).rate > 1.0
    assert (
        judge(**UP, floor=0.1, level=flat, curvature=StepCurvature(reach=0.1)).rate == 1.0
    )  # κ is a witness
