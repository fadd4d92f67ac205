"""What becomes of the measurements and of the record of cuts when a new stretch of the run begins."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import Moments
from nalr.policies import Evidence, NoiseAdaptive, NoiseAdaptiveSettings, Reason
from nalr.policies.noise_adaptive.measurements import Measurements
from nalr.policies.noise_adaptive.view import Course, Level, Stretch
from tests.policies.cases import decide
from tests.policies.noise_adaptive.cases import plan

C = NoiseAdaptiveSettings()


def step(loss, cosine=0.5, squared_norm=1.0, length=0.02, lr=0.01):
    """Return what another optimizer's step shows: `length` long, its end at this cosine to the gradient."""
    product = cosine * length * math.sqrt(squared_norm)
    return Evidence(
        50, loss, lr, Moments(4, 4.0, 9, squared_norm, 0.0, product, length**2, 1.0, 4.0), math.nan
    )


def measured(losses, **shown):
    """Return measurements after a fall from 10 to 2 over 100 steps, and then these losses."""
    measurements, course = Measurements(C, plan()), Course(0.01, seen=50)
    for loss in np.linspace(10.0, 2.0, 100):
        measurements.update(step(float(loss)), course, 0.01)
    for loss in losses:
        seen = measurements.update(step(loss, **shown), course, 0.01)
    return measurements, seen


def test_losses_far_above_their_level_are_counted_in_a_row_and_a_usual_one_ends_the_row():
    assert measured([1e3] * 4)[1].level.above == 4
    assert measured([1e3, 1e3, 2.0, 1e3])[1].level.above == 1
    assert measured([2.0], squared_norm=1.0)[1].gradient.above == 0
    assert measured([2.0] * 3, squared_norm=1e6)[1].gradient.above == 3


def test_a_stretch_with_moved_levels_measures_rises_from_where_the_run_is():
    measurements, _ = measured([1e3] * 4)
    measurements.begin_stretch(100, Stretch(5, level=Level.MOVED))
    seen = measurements.update(step(1e3), Course(0.01, seen=101), 0.01)
    assert seen.level.value == seen.level.best == 1e3
    assert seen.level.first == 10.0 and seen.level.above == 0
    assert seen.agreement.follows


def test_a_stretch_with_a_new_level_takes_gradients_and_gains_as_new():
    measurements, _ = measured([1e3] * 4, squared_norm=1e6)
    measurements.begin_stretch(100, Stretch(0, harm=False, level=Level.NEW))
    for _ in range(3):
        seen = measurements.update(step(1e3, squared_norm=1e6), Course(0.01, seen=101), 0.01)
    assert seen.level.first == 1e3
    assert seen.gradient.typical == pytest.approx(1e6) and seen.gradient.above == 0


def test_a_stretch_that_keeps_its_levels_measures_rises_less_those_allowed():
    measurements, before = measured([3.0] * 40)
    assert before.level.best == pytest.approx(2.0, abs=1.0)
    value = before.level.value
    measurements.begin_stretch(100, Stretch(5, rise=0.4, level=Level.KEPT))
    assert measurements.level.best == pytest.approx(value - 0.4)
    kept, _ = measured([3.0] * 40)
    kept.begin_stretch(100, Stretch(5, rise=None, level=Level.KEPT))
    assert kept.level.best == pytest.approx(before.level.value - 1.0, abs=0.8)


def run_away(policy, rises, lr=0.01, product=-5.0):
    """Show a run of 60 steps, then losses that steps of an unknown curvature raised; return the reasons."""
    policy.begin(lr, 1e-9, 1e3, None, 20)
    loss, reasons, at = 10.0, [], 0
    falls = [(loss - 0.05 * i, 0.5) for i in range(60)]
    for value, cosine in falls + [(rise, product) for rise in rises]:
        moments = Moments(4, 4.0, 9, 1.0, 0.0, cosine * 0.1, 0.01, 0.0, 4.0)
        if cosine < 0.0:  # |ḡ| grew as well, and the step ended uphill
            moments = moments._replace(mean_squared_norm=400.0, step_product=cosine)
        decision = policy.decide(Evidence(at, value, 0.0 if at == 0 else lr, moments, math.nan))
        lr, at = decision.lr, at + 1
        reasons.append(decision.reason)
    return reasons[60:], decision


def test_after_a_blow_up_the_same_level_is_no_blow_up_again():
    # The account: ⟨ḡ, s⟩ = −20·.1·cos a step; one of −2 at least three tenths of a rise by 100 takes −40.
    reasons, decision = run_away(NoiseAdaptive(), [100.0] * 30, product=-40.0)
    assert reasons[0] is Reason.BLOW_UP
    assert Reason.BLOW_UP not in reasons[1 + C.blow_up_wait :]
    assert decision.evidence["cuts"] < 2.0


def test_a_cut_weighs_as_the_share_of_the_run_that_came_before_it():
    rng, policy = np.random.default_rng(5), NoiseAdaptive()
    policy.begin(0.01, 1e-8, 1e4, None, 20)
    decide(policy, rng, 100)
    state = policy.state_dict()
    state["course"]["cuts"] = 1.0
    policy.load_state_dict(state)
    decide(policy, rng, 299, start=100, lr=0.01)
    assert policy.state_dict()["course"]["cuts"] == pytest.approx(100.0 / 399.0)
