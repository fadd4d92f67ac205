"""Whole runs whose loss becomes another under way, or says nothing: against the same run without that."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from nalr import NoiseAdaptiveLR
from nalr.policies import Constant, Reason

SPECTRUM = np.array([1.0, 0.3, 0.1, 0.1])
STEPS = 600
SEEDS = range(2)
BASE = 0.05


def run(rows, total, seed=0, loss_factor=1.0, factor=1.0, added=0.0, jump=0.0, policy=None):
    """Descend a noisy bowl by SGD; from half of the run on its loss, its gradients or its target are others.

    Return the true losses, in the units of the first half, and the controller.
    """
    rng, x, losses = np.random.default_rng(seed), np.full(4, 3.0), []
    controller = NoiseAdaptiveLR(BASE, total_steps=STEPS if total else None, policy=policy)
    for step in range(STEPS):
        late = step >= STEPS // 2
        apart = x - jump * late
        losses.append(0.5 * float(apart @ (SPECTRUM * apart)))
        gradients = SPECTRUM * apart + 0.5 * rng.normal(size=(rows, 4))
        loss = losses[-1] + 0.1 * rng.normal()
        if late:
            gradients, loss = factor * gradients, factor * loss_factor * loss + added
        with np.errstate(over="ignore", invalid="ignore"):
            x = x - controller.get_adapted_lr(gradients, loss) * gradients.mean(axis=0)
        if not np.isfinite(x).all() or np.abs(x).max() > 1e100:
            break
    return np.array(losses), controller


@cache
def undisturbed(rows, total):
    return end(rows, total)


def end(rows, total, **changed):
    """Return the geometric mean over seeds of the true loss at the end."""
    ends = [np.mean(run(rows, total, seed, **changed)[0][-50:]) for seed in SEEDS]
    return float(np.exp(np.mean(np.log(ends))))


@pytest.mark.parametrize(
    ("rows", "total", "changed"),
    [
        *((rows, total, {"loss_factor": 1e4}) for rows in (1, 8) for total in (True, False)),
        *((1, total, {"added": 100.0}) for total in (True, False)),
        *((8, total, {"added": 100.0}) for total in (True, False)),
    ],
)
def test_a_loss_in_other_units_or_with_a_constant_added_ends_as_without(rows, total, changed):
    assert end(rows, total, **changed) < 3.0 * undisturbed(rows, total)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("total", [True, False])
def test_a_loss_times_twenty_ends_below_the_constant_rate(rows, total):
    # Its gradients are times twenty as well: the base rate is then at the line minimum of the steepest way.
    assert end(rows, total, factor=20.0) < 0.5 * end(rows, total, factor=20.0, policy=Constant())


@pytest.mark.filterwarnings("ignore:The learning rate has sunk")  # by four powers of ten, as it must
@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("total", [True, False])
def test_a_loss_times_ten_thousand_is_survived_where_the_constant_rate_is_lost(rows, total):
    lost, _ = run(rows, total, factor=1e4, policy=Constant())
    assert len(lost) < STEPS
    for seed in SEEDS:
        losses, _ = run(rows, total, seed, factor=1e4)
        assert len(losses) == STEPS
        assert np.mean(losses[-50:]) < 0.05 * losses[0]


@pytest.mark.parametrize("total", [True, False])
def test_a_converged_run_whose_target_jumps_once_recovers(total):
    for seed in SEEDS:
        losses, controller = run(8, total, seed, jump=5.0)
        half = STEPS // 2
        assert np.mean(losses[half - 10 : half]) < 0.05
        assert losses[half] > 15.0
        assert np.mean(losses[-50:]) < 0.01 * losses[half]
        rates = np.array(controller.history.to_dict()["lr"])
        assert rates[half:].max() > rates[half - 1]


@pytest.mark.parametrize("total", [400, None])
@pytest.mark.parametrize("base_lr", [1e-3, 0.05])
@pytest.mark.parametrize(("loss", "noise"), [(0.0, 0.0), (1.0, 0.0), (1.0, 0.5)])
def test_constant_gradients_with_a_constant_loss_hold_at_the_base_rate(total, base_lr, loss, noise):
    rng, controller = np.random.default_rng(4), NoiseAdaptiveLR(base_lr, total_steps=total)
    rates = [
        controller.get_adapted_lr(1.0 + noise * rng.normal(size=(4, 3)), loss) for _ in range(total or 600)
    ]
    planned = round(0.9 * len(rates)) if total else len(rates)  # then a straight line to zero
    np.testing.assert_allclose(rates[:planned], base_lr)
    assert set(controller.history.reason_counts) <= {Reason.START, Reason.HOLD, Reason.ANNEAL}
