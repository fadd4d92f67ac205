"""What becomes of the measurements and of the record of cuts when a new stretch of the run begins."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import Moments
from nalr.policies import Evidence, NoiseAdaptive, NoiseAdaptiveSettings, Reason
from nalr.policies.noise_adaptive.view import Level, Stretch
from tests.policies.cases import decide

C = NoiseAdaptiveSettings()


def step(at, loss, cosine=0.5, squared_norm=1.0, length=0.02, lr=0.01):
    """Return what another optimizer's step shows: `length` long, its end at this cosine to the gradient."""
    product = cosine * length * math.sqrt(squared_norm)
    moments = Moments(4, 4.0, 9, squared_norm, 0.0, product, length**2, 0.0, 4.0)
    return Evidence(at, loss, lr if at else 0.0, moments, math.nan)


class Fallen:
    """A run whose loss fell from 10 to 2 over 100 steps."""

    def __init__(self):
        self.policy, self.at = NoiseAdaptive(), 0
        self.policy.begin(0.01, 1e-9, 1e3, None, 20)
        for loss in np.linspace(10.0, 2.0, 100):
            self.take(float(loss))

    def take(self, loss, **shown):
        decision = self.policy.decide(step(self.at, loss, **shown))
        self.at += 1
        return decision

    @property
    def measured(self):
        return self.policy._measurements

    def begin(self, **stretch):
        self.policy._begin_stretch(Stretch(5, **stretch))
        return self.measured


def test_losses_far_above_their_level_are_counted_in_a_row_and_a_usual_one_ends_the_row():
    run = Fallen()
    counts = []
    for loss in (1e3, 1e3, 2.0, 1e3):
        run.take(loss)
        counts.append(run.measured.level.above)
    assert counts == [1, 2, 0, 1]


def test_gradients_far_above_what_is_usual_are_counted_too():
    run = Fallen()
    counts = []
    for squared_norm in (1e6, 1e6, 1.0, 1e6):
        run.take(2.0, squared_norm=squared_norm)
        counts.append(run.measured.gradient.above)
    assert counts == [1, 2, 0, 1]


def test_a_third_loss_in_a_row_that_no_step_explains_is_another_and_what_is_gained_counts_from_there():
    run = Fallen()
    reasons = [run.take(1e3, squared_norm=1e6).reason for _ in range(10)]
    assert reasons.index(Reason.LEVEL) == C.other_loss - 1
    assert Reason.BLOW_UP not in reasons and reasons.count(Reason.LEVEL) == 1
    level = run.measured.level
    assert (level.first, level.best, level.fall, level.above) == (1e3, 1e3, 0.0, 0)
    assert level.noise == 0.0  # constant from here: nothing of the jump is taken for noise
    assert run.measured.gradient.typical == pytest.approx(1e6) and run.measured.gradient.above == 0
    for _ in range(100):
        run.take(990.0, squared_norm=1e6)
    assert run.measured.level.fall == pytest.approx(10.0, abs=0.01)


def test_a_stretch_with_moved_levels_measures_rises_from_where_the_run_is():
    run = Fallen()
    run.take(50.0)
    measured = run.begin(level=Level.MOVED)
    assert (measured.level.value, measured.level.best, measured.level.first) == (50.0, 50.0, 10.0)
    assert measured.level.attributed == measured.level.attributed_best == measured.level.account
    assert measured.agreement.follows and measured.agreement.count == 0


def test_a_stretch_that_keeps_its_levels_measures_rises_less_those_allowed():
    run = Fallen()
    for _ in range(40):
        run.take(2.5)
    value, best = run.measured.level.value, run.measured.level.best
    assert run.begin(rise=None, level=Level.KEPT).level.best == best
    assert run.begin(rise=0.4, level=Level.KEPT).level.best == pytest.approx(value - 0.4)


def test_after_a_blow_up_the_same_level_is_no_blow_up_again():
    run = Fallen()
    # A step of length 40 straight uphill: by its gradients' account the loss rose by 40 of the 98 it did.
    blown = run.take(100.0, cosine=-1.0, length=40.0)
    assert blown.reason is Reason.BLOW_UP and blown.lr < 0.01
    # The loss stays there, with steps that end a little uphill: by the old levels each were one more.
    reasons = [run.take(100.0, cosine=-0.5, lr=blown.lr).reason for _ in range(20)]
    assert not {Reason.BLOW_UP, Reason.CUT, Reason.LEVEL} & set(reasons)


def test_a_cut_weighs_as_the_share_of_the_run_that_came_before_it():
    rng, policy = np.random.default_rng(5), NoiseAdaptive()
    policy.begin(0.01, 1e-8, 1e4, None, 20)
    decide(policy, rng, 100)
    state = policy.state_dict()
    state["course"]["cuts"] = 1.0
    policy.load_state_dict(state)
    decide(policy, rng, 299, start=100, lr=0.01)
    assert policy.state_dict()["course"]["cuts"] == pytest.approx(100.0 / 399.0)
