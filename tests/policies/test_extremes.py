"""Gradients and losses at the ends of float64: no exception, no rate out of bounds, nothing that stays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nalr import Moments, NoiseAdaptiveLR, policies

pytestmark = pytest.mark.filterwarnings("ignore::nalr._checks.NoiseWarning")  # such runs may be told of

SIZES = [0.0, 5e-324, 1e-320, 1e-310, 1e-200, 1e-160, 1e-100, 1.0, 1e100, 1e150, 1e154, 1e160, 1e300, 1.7e308]
KINDS = {
    "noise adaptive": policies.NoiseAdaptive,
    "adascale": lambda: policies.AdaScale(policies.WarmupCosine()),
    "momo": policies.MoMo,
    "noise scaled": policies.NoiseScaled,
    "plateau": policies.Plateau,
    "polyak": policies.PolyakStep,
    "sasa": policies.SASA,
    "vsgd": policies.VSGD,
}
ONE_STEP = {"window", "previous", "value", "first", "best", "signal", "squared_norm", "distance"}
ONE_STEP |= {"deviation", "by_slopes"}
"""Numbers of a state that are unknown, or beyond float64, for a step or before the first."""

size = st.sampled_from(SIZES)
signed = st.builds(lambda number, sign: number * sign, size, st.sampled_from([-1.0, 1.0]))
stretches = st.lists(st.tuples(size, signed, st.booleans(), st.integers(1, 60)), min_size=1, max_size=5)


def controller(kind: str, base_lr: float) -> NoiseAdaptiveLR:
    total = 150 if kind == "adascale" else None
    return NoiseAdaptiveLR(base_lr, policy=KINDS[kind](), total_steps=total, cooldown=3)


def check(adaptive: NoiseAdaptiveLR, lr: float) -> None:
    assert math.isfinite(lr) and adaptive.min_lr <= lr <= adaptive.max_lr


def lost(state: dict) -> list[str]:
    """Return the numbers of a state that are not finite and will stay so."""
    found = []
    for name, value in state.items():
        if isinstance(value, dict):
            found += [f"{name}.{inner}" for inner in lost(value)]
        elif isinstance(value, float) and not math.isfinite(value) and name not in ONE_STEP:
            found.append(name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(stretches, st.sampled_from([1e-12, 1e-3, 1.0, 1e12]), st.integers(1, 3), st.integers(0, 999))
def test_no_size_of_gradients_and_losses_breaks_a_run_or_stays_with_it(kind, run, base_lr, num_rows, seed):
    rng, adaptive = np.random.default_rng(seed), controller(kind, base_lr)
    for scale, loss, constant, steps in [*run, (1.0, 1.0, False, 30)]:
        row = rng.uniform(-1.0, 1.0, size=(num_rows, 2))
        for _ in range(steps):
            rows = row if constant else rng.uniform(-1.0, 1.0, size=(num_rows, 2))
            check(adaptive, adaptive.get_adapted_lr(scale * rows, loss))
    assert lost(adaptive.policy.state_dict()) == []
    assert adaptive.summary()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(*[size] * 2, signed, *[signed, size] * 2, signed), min_size=1, max_size=60),
    st.sampled_from([1e-12, 1.0, 1e12]),
    st.integers(1, 3),
)
def test_no_sums_break_a_run_or_stay_with_it(kind, run, base_lr, num_rows):
    adaptive = controller(kind, base_lr)
    usual = (1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 1.0, 0.1)
    for squared_norm, spread, loss, *path in [*run, *[usual] * 30]:
        moments = Moments(num_rows, float(num_rows), 3, squared_norm, spread * (num_rows > 1), *path)
        check(adaptive, adaptive.update_policy(moments, loss))
    assert lost(adaptive.policy.state_dict()) == []


@pytest.mark.slow
def test_a_loss_that_converges_exactly_ends_no_run():
    adaptive, x = NoiseAdaptiveLR(1e-3), np.ones(2)
    for _ in range(6000):
        check(adaptive, lr := adaptive.get_adapted_lr(x[None], 0.5 * float(x @ x)))
        x = x - min(lr, 0.5) * x
        adaptive.set_applied_lr(min(lr, 0.5))


@pytest.mark.parametrize("last", [math.inf, -math.inf, math.nan])
def test_sums_that_are_not_finite_are_forgotten(last):
    """The averages of a run whose path once overflowed are those of later steps alone."""
    adaptive = NoiseAdaptiveLR(1.0)
    for step in range(400):
        path = (last, abs(last), last, abs(last), last) if step == 20 else (0.1, 0.1, 0.1, 1.0, 0.1)
        check(adaptive, adaptive.update_policy(Moments(4, 4.0, 3, 1.0, 1.0, *path), 1.0))
    assert lost(adaptive.policy.state_dict()) == []
