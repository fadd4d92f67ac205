"""The user's own rates and schedules are multiplied for the time of a step, and never change."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

import nalr.torch
from nalr.policies.base import Reason
from tests.torch.training import Training, effective, two_groups

SCHEDULES = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1.0 / (1 + step)),
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=[0.1, 0.03], total_steps=30),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=2, threshold=0.5),
}


def scheduled(name: str, ours: str | None) -> tuple[list[list[float]], list[list[float]], list[float]]:
    """Return rates between steps, rates in steps and our factors, with ours before, after or without."""
    training = Training(two_groups)
    adaptive = nalr.torch.NoiseAdaptiveLR(training.optimizer) if ours == "before" else None
    schedule = SCHEDULES[name](training.optimizer)
    adaptive = nalr.torch.NoiseAdaptiveLR(training.optimizer) if ours == "after" else adaptive
    seen = effective(training.optimizer)
    between, factors = [], []
    for step in range(25):
        between.append([group["lr"] for group in training.optimizer.param_groups])
        loss = training.backward(step)
        training.optimizer.step()
        if adaptive is not None:
            factors.append(adaptive.engine.factor)
            adaptive.step(loss)
        if name == "ReduceLROnPlateau":
            schedule.step(1.0)  # its metric never moves, so that all runs reduce alike
        else:
            schedule.step()
    return between, seen, factors


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_multiplied_exactly_and_finds_its_own_values(name, order):
    alone, made_alone, _ = scheduled(name, None)
    between, made, factors = scheduled(name, order)
    assert between == alone == made_alone
    assert len({row[0] for row in alone}) > 2 and len(set(factors)) > 5
    assert made == [[rate * factor for rate in row] for row, factor in zip(alone, factors, strict=True)]


def test_a_rate_written_for_good_spoils_a_chained_schedule():
    """What we do not do: StepLR computes its next rate from the present one, which is then not its own."""
    training = Training(two_groups)
    schedule = lr_scheduler.StepLR(training.optimizer, 2, gamma=0.5)
    for step in range(6):
        for group in training.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * 3.0  # a factor written for good
        training.backward(step)
        training.optimizer.step()
        schedule.step()
    assert schedule.get_last_lr()[0] != pytest.approx(0.01 / 8)


def test_groups_keep_their_ratio_at_every_step():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    seen = effective(training.optimizer)
    training.run(30, scheduler)
    for weight, bias in seen:
        assert bias / weight == pytest.approx(0.3, rel=4e-16)


def test_the_visible_rate_is_the_effective_one_and_has_a_reason():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    assert scheduler.get_last_lr() == [0.01, 0.003] and scheduler.last_decision is None
    seen = effective(training.optimizer)
    for step in range(60):
        loss = training.backward(step)
        training.optimizer.step()
        scheduler.step(loss)
        if step:
            assert scheduler.get_last_lr() == seen[-1]
            assert scheduler.lr == seen[-1][0]
            assert scheduler.lr == pytest.approx(scheduler.last_decision.lr, rel=4e-16)
    assert scheduler.lr != 0.01
    assert scheduler.last_decision.reason in Reason and scheduler.history.to_numpy()["reason"][0] == "start"
    assert f"{scheduler.lr:.2g}"[:3] in scheduler.summary()


def test_chained_by_torch_itself():
    training = Training(two_groups)
    chained = lr_scheduler.ChainedScheduler(
        [lr_scheduler.StepLR(training.optimizer, 2), nalr.torch.NoiseAdaptiveLR(training.optimizer)]
    )
    for step in range(4):
        training.backward(step)
        training.optimizer.step()
        chained.step()
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(0.0001)


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_a_rate_in_a_tensor_is_filled_and_put_back(form):
    rate = torch.tensor(0.001)
    training = Training(lambda t: torch.optim.AdamW(t.model.parameters(), lr=rate, foreach=False))
    seen = []
    if form == "scheduler":
        adaptive = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    else:
        adaptive = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    training.optimizer.register_step_pre_hook(
        lambda o, *_: seen.append((o.param_groups[0]["lr"], rate.item()))
    )
    for step in range(40):
        loss = training.backward(step)
        if form == "scheduler":
            training.optimizer.step()
            adaptive.step(loss)
        else:
            adaptive.step(loss=loss)
    assert all(tensor is rate for tensor, _ in seen) and training.optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == torch.tensor(0.001).item() and len({value for _, value in seen}) > 10


def test_tensor_and_float_rates_train_alike():
    rates = []
    for rate in (0.0009765625, torch.tensor(0.0009765625)):  # a power of two, exact in float32
        training = Training(
            lambda t, rate=rate: torch.optim.AdamW(t.model.parameters(), lr=rate, foreach=False)
        )
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        training.run(20, scheduler)
        rates.append(scheduler.lr)
    assert rates[1] == pytest.approx(rates[0], rel=1e-4)
