"""Gradients that are thrown away before a step change nothing of what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import nalr.torch

STEPS = 12


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def loss_of(model: nn.Module, seed: int, scale: float = 1.0) -> Tensor:
    inputs = torch.randn(16, 5, generator=torch.Generator().manual_seed(seed))
    return (model(scale * inputs) - inputs.sin().sum(1, keepdim=True)).square().mean()


def clear_in_place(model: nn.Module) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()


def clear_unseen(model: nn.Module) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.data.zero_()  # has a counter of changes of its own


def clear_by_another(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)


CLEARED: dict[str, Callable[[nn.Module], None]] = {
    "to none": lambda model: model.zero_grad(),
    "in place": clear_in_place,
    "unseen": clear_unseen,
    "by another": clear_by_another,
}
LOST: dict[str, Callable[[nn.Module], None]] = {
    "nothing": lambda model: None,
    "a backward": lambda model: loss_of(model, 1000, 3.0).backward(),
    "two backwards": lambda model: [loss_of(model, seed, 3.0).backward() for seed in (1000, 1001)] and None,
    "an overflow": lambda model: (float("inf") * loss_of(model, 1000)).backward(),
    "a backward of some layers": lambda model: (
        nn.Sequential(*list(model)[1:])(torch.randn(3, 8)).sum().backward()
    ),
    "gradients of the inputs": lambda model: (
        torch.autograd.grad(model(torch.ones(4, 5, requires_grad=True)).sum(), list(model.parameters()))
        and None
    ),
}


def run(
    noise: str, microbatches: int, lost: str = "nothing", cleared: str = "to none", rollback: bool = False
) -> tuple[list[float], list[float], str]:
    """Return rates and variances of a run that throws gradients away before each third step."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model, noise=noise, rollback=rollback)
    rates, variances = [], []
    for step in range(STEPS):
        if step % 3 == 0:
            LOST[lost](model)
        CLEARED[cleared](model)
        losses = [loss_of(model, 10 * step + part) for part in range(microbatches)]
        for loss in losses:
            (loss / microbatches).backward()
        optimizer.step()
        scheduler.step(sum(loss.item() for loss in losses) / microbatches)
        rates.append(scheduler.lr)
        variances.append(scheduler.reading().total_variance)
    return rates, variances, scheduler.reading().source


@pytest.mark.parametrize("cleared", ["to none", "in place"])
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize(("noise", "microbatches"), [("samples", 1), ("samples", 2), ("microbatches", 2)])
def test_a_run_that_throws_gradients_away_is_the_one_that_does_not(noise, microbatches, lost, cleared):
    assert run(noise, microbatches, lost, cleared) == run(noise, microbatches, cleared=cleared)


@pytest.mark.parametrize("cleared", ["unseen", "by another"])
@pytest.mark.parametrize(("noise", "microbatches"), [("samples", 1), ("microbatches", 2)])
def test_what_cannot_be_told_apart_is_measured_from_step_to_step(noise, microbatches, cleared):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model, noise=noise)
    for spoilt in (False, True, False):
        if spoilt:
            loss_of(model, 1000, 3.0).backward()
            CLEARED[cleared](model)
        for part in range(microbatches):
            loss_of(model, part).backward()
        optimizer.step()
        scheduler.step(1.0)
        assert scheduler.engine.measurement.source == ("steps" if spoilt else noise)
        optimizer.zero_grad()


@pytest.mark.parametrize("noise", ["steps", "samples", "auto"])
def test_a_step_that_a_scaler_left_out_is_no_reason_to_return(noise):
    runs = []
    for overflow in (False, True):
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model, noise=noise, rollback=True)
        scaler = torch.amp.GradScaler("cpu")
        for step in range(20):
            if overflow and step % 5 == 4:
                optimizer.zero_grad()
                loss = loss_of(model, 500 + step)
                (scaler.scale(loss) * float("inf")).backward()
                scaler.step(optimizer)
                scaler.update(2.0**16)
                scheduler.step(loss)
            optimizer.zero_grad()
            loss = loss_of(model, step)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update(2.0**16)
            scheduler.step(loss)
        assert scheduler.engine.rollback.returns == 0
        assert "skip" not in scheduler.history.reason_counts
        runs.append((scheduler.reading().total_variance, scheduler.reading().source))
    assert runs[0] == runs[1]


def test_a_critic_is_not_measured_by_the_actors_step():
    """The other player's loss goes through this model, whose gradients are then cleared."""
    found = []
    for played in (False, True):
        critic = network()
        torch.manual_seed(1)
        actor = nn.Linear(5, 5)
        optimizer = torch.optim.SGD(critic.parameters(), lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=critic)
        for step in range(10):
            optimizer.zero_grad()
            loss = loss_of(critic, step)
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
            if played:
                critic(actor(torch.ones(16, 5))).mean().backward()
        found.append((scheduler.lr, scheduler.reading().total_variance, scheduler.reading().source))
    assert found[0] == found[1]
    assert found[0][2] == "samples"


class Joined(nn.Module):
    """Three weights joined for one product, as attention does: their gradients share one buffer."""

    def __init__(self, joined: bool) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.joined, self.weights = joined, nn.ParameterList([torch.randn(4, 5) for _ in range(3)])

    def forward(self, inputs: Tensor) -> Tensor:
        if self.joined:
            return nn.functional.linear(inputs, torch.cat(list(self.weights)))
        return torch.cat([nn.functional.linear(inputs, weight) for weight in self.weights], -1)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("microbatches", [2, 3])
def test_weights_that_were_joined_are_measured_as_those_that_were_not(microbatches, lost):
    found = []
    for joined in (False, True):
        model = Joined(joined)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
        for step in range(6):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                for part in range(microbatches + lost):
                    if lost and part == 1:
                        optimizer.zero_grad(set_to_none=False)
                    loss_of(model, 10 * step + part).backward()
                optimizer.step()
                scheduler.step(1.0)
            assert scheduler.engine.measurement.source == "microbatches"
            optimizer.zero_grad()
        found.append(scheduler.reading().total_variance)
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("microbatches", [1, 3])
def test_a_gradient_taken_out_before_every_step_does_not_end_the_source(microbatches):
    """Freezing by hand: tr of the rest is that of a run whose layer is frozen."""
    found = []
    for by_hand in (False, True):
        model = network()
        model[0].requires_grad_(by_hand)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
        for step in range(8):
            for part in range(microbatches):
                loss_of(model, 10 * step + part).backward()
            if by_hand:
                model[0].weight.grad = model[0].bias.grad = None
            optimizer.step()
            scheduler.step(1.0)
            optimizer.zero_grad()
        found.append((scheduler.controller.estimator.total_variance, scheduler.reading().source))
    assert found[1][1] == found[0][1]
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
