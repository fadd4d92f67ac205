from __future__ import annotations

import pytest

from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.progress import Progress, ProgressSettings
from nalr.policies.noise_adaptive.stuck import Stuck, StuckSettings
from nalr.policies.noise_adaptive.view import Course
from tests.policies.noise_adaptive.cases import level, plan, view

STILL = {"progress": Progress(unmoved=1000), "curvature": StepCurvature(reach=0.5, steep=0.5)}
NEAR = {"curvature": StepCurvature(reach=0.9)}


def find(pace=1.0, searching=False, **seen):
    stuck = Stuck(StuckSettings(), plan(pace=pace))
    return stuck.find(view(**seen), Course(0.01, searching=searching))


def test_a_run_that_stands_still_where_noise_does_not_explain_it_is_stuck():
    assert find(**STILL, floor=1e-4) == "stuck"
    assert find(**STILL) == "stuck"


@pytest.mark.parametrize(
    "otherwise",
    [
        {"floor": 0.1},
        {"displacement": DisplacementSignal(signal=0.5)},
        {"curvature": StepCurvature(reach=0.2, steep=0.2)},
        {"gradient": GradientLevel(persistence=0.9, recent=1.0)},
    ],
    ids=["noise", "a larger rate is wanted", "short steps", "gradients lead somewhere"],
)
def test_a_run_that_stands_still_for_another_reason_is_not_stuck(otherwise):
    assert find(**{**STILL, **otherwise}) is None


def test_short_runs_wait_less_long():
    wait = StuckSettings().kick_wait
    moving = STILL | {"progress": Progress(unmoved=round(wait) - 1)}
    assert find(**moving) is None
    assert find(pace=4.0, **moving) == "stuck"


def test_without_noise_a_search_near_the_line_minimum_is_tried_at_once():
    assert find(searching=True, noise=0.0, **NEAR) == "noise-free"
    assert find(searching=False, noise=0.0, **NEAR) is None
    assert find(searching=True, noise=None, **NEAR) is None  # unknown is not none
    assert find(searching=True, noise=0.01, **NEAR) is None
    assert find(searching=True, noise=0.0, step=1, **NEAR) is None  # too early to mean anything
    assert find(searching=True, noise=0.0, curvature=StepCurvature(reach=0.3)) is None


def test_a_run_bounces_where_large_gradients_undo_each_other_without_noise():
    large = STILL | {"gradient": GradientLevel(recent=100.0)} | {"progress": Progress(1000, unpromising=True)}
    assert find(**large, noise=1.0) == "bouncing"  # η|ḡ|² is half of what was gained
    assert find(**large, noise=10.0) == "stuck"  # noise makes such gradients
    assert find(**large, noise=None) == "stuck"
    assert (
        find(**large, noise=1.0, level=level(first=1e3, gained=990.0)) == "stuck"
    )  # the steps promise little


def test_progress_begins_the_count_anew():
    progress, settings = Progress(), ProgressSettings()
    for step in range(100):
        progress.update(settings, step, 1.0, level(), cooling=False)
    assert progress.unmoved == 99
    progress.update(settings, 100, 1.0, level(value=9.9, best=9.9), cooling=False)
    assert progress.unmoved == 0


def test_gradients_that_promise_nothing_are_counted_while_they_come_in_a_row():
    progress, settings = Progress(), ProgressSettings()
    for step in range(30, 40):
        progress.update(settings, step, 0.0, level(), cooling=False)
    assert progress.still == 10 and progress.unpromising
    progress.update(settings, 40, 1.0, level(), cooling=False)
    assert progress.still == 0 and not progress.unpromising
