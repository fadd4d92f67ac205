"""What every policy promises."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nalr import Moments
from nalr.policies import Decision, Evidence, NoiseAdaptive, Policy, Reason
from tests.policies.cases import POLICIES, WARMING, begin, decide, evidence


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("total_steps", [None, 50])
def test_contract_answers_are_finite_rates_with_reasons_and_numbers(rng, name, total_steps):
    policy = POLICIES[name]()
    assert isinstance(policy, Policy)
    begin(policy, name, 0.1, total_steps, 20)
    lr = 0.0
    for step in range(50):
        decision = policy.decide(evidence(rng, step, lr))
        lr = decision.lr
        assert isinstance(decision, Decision)
        assert 0.0 < lr < math.inf
        assert isinstance(decision.reason, Reason)
        assert all(isinstance(value, float) for value in decision.evidence.values())
        assert 0.0 <= policy.forgetting < 1.0


@pytest.mark.parametrize("name", POLICIES)
def test_contract_the_first_answer_is_the_base_rate(rng, name):
    policy = begin(POLICIES[name](), name)
    lr = policy.decide(evidence(rng, 0, 0.0)).lr
    assert lr == 0.01 or (name in WARMING and 0.0 < lr < 0.01)


@pytest.mark.parametrize("name", POLICIES)
def test_contract_the_rate_never_rises_over_skipped_steps(rng, name):
    policy = begin(POLICIES[name](), name)
    policy.decide(evidence(rng, 0, 0.0))
    lr = 0.01
    for repeated in range(1, 5):
        assert policy.skip(lr, repeated) <= lr


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("cut", [0, 1, 40, 149])
def test_contract_resume_is_exact_and_the_state_is_json(name, cut):
    whole, half = POLICIES[name](), POLICIES[name]()
    for policy in (whole, half):
        policy.begin(0.01, 1e-8, 1e4, 300, 5)
    rates = decide(whole, np.random.default_rng(1), 150)
    rng = np.random.default_rng(1)
    before = decide(half, rng, cut)
    resumed = POLICIES[name]()
    resumed.begin(0.01, 1e-8, 1e4, 300, 5)
    resumed.load_state_dict(json.loads(json.dumps(half.state_dict())))
    assert decide(resumed, rng, 150 - cut, cut, before[-1] if before else 0.0) == rates[cut:]


@pytest.mark.parametrize("name", POLICIES)
def test_contract_begin_forgets_the_run_before(name):
    policy = begin(POLICIES[name](), name)
    first = decide(policy, np.random.default_rng(1), 60)
    begin(policy, name)
    assert decide(policy, np.random.default_rng(1), 60) == first


@pytest.mark.parametrize("name", POLICIES)
def test_contract_a_policy_goes_on_from_parameters_that_were_put_back(rng, name):
    policy = begin(POLICIES[name](), name)
    decide(policy, rng, 40)
    policy.restart(0.001)
    assert all(0.0 < lr < math.inf for lr in decide(policy, rng, 40, 40))
    told = json.dumps(policy.state_dict())  # as text, since nan is not equal to itself
    assert json.dumps(json.loads(told)) == told


@pytest.mark.parametrize("name", POLICIES)
def test_contract_steps_that_tell_little_are_survived(name):
    """One row a step, no path, a loss and a gradient of zero: nothing raises, and the rate stays a rate."""
    policy = begin(POLICIES[name](), name)
    for step in range(60):
        for moments in (
            Moments(1, 1.0, 3, 2.0, 0.0),
            Moments(4, 4.0, 3, 0.0, 0.0),
            Moments(4, 4.0, 3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
            Moments(4, 4.0, 3, 1e300, 1e300, -1e300, 1e300, 1e300, 1e300),
            Moments(2, 2.0, 3, 5e-324, 5e-324, 5e-324, 5e-324, 5e-324, 5e-324),
        ):
            assert (
                0.0 < policy.decide(Evidence(step, 0.0, 0.01 * (step % 2), moments, math.nan)).lr < math.inf
            )


def test_repr_shows_only_constants_that_were_changed():
    assert repr(NoiseAdaptive()) == "NoiseAdaptive()"
    assert repr(POLICIES["noise adaptive, other constants"]()) == (
        "NoiseAdaptive(NoiseAdaptiveSettings(ramp=0.1, clip=2.0))"
    )
