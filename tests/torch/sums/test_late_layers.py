"""Norms of samples where layers join the model, or are first called, in mid-run."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn

import nalr.torch

STEPS = 12


class Growing(nn.Module):
    """A layer, and more of them behind it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, 2)
        self.more = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.more:
            x = x + 10.0 * layer(x)
        return x


def loss_of(model: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    inputs, targets = (torch.randn(16, n, generator=generator, dtype=torch.float64) for n in (3, 2))
    return (model(inputs) - targets).square().mean()


def spread(model: nn.Module, step: int) -> float:
    """Return Σ |gᵢ − g|² by the gradient of each sample alone."""
    generator = torch.Generator().manual_seed(step)
    inputs, targets = (torch.randn(16, n, generator=generator, dtype=torch.float64) for n in (3, 2))
    rows = []
    for x, y in zip(inputs, targets, strict=True):
        loss = (model(x[None]) - y[None]).square().mean()
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return float((torch.stack(rows) - torch.stack(rows).mean(0)).square().sum())


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("by_group", [True, False])
@pytest.mark.parametrize("noise", ["samples", "auto"])
def test_a_layer_that_joins_in_mid_run_is_covered_from_its_second_step_on(noise, by_group, copies):
    torch.manual_seed(1)
    model, late = Growing().double(), nn.Linear(2, 2).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    if not by_group:  # the optimizer has it from the start, the model does not
        optimizer.add_param_group({"params": list(late.parameters())})
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, noise=noise, model=model, max_lr=1.01e-6)
    seen = []
    take = type(scheduler.engine.measurement).take

    def taken(*args):
        moments, loss = take(scheduler.engine.measurement, *args)
        seen.append((moments.num_rows, moments.sum_squares))
        return moments, loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(STEPS):
            if step == 5:
                model.more.append(late)
                if by_group:
                    optimizer.add_param_group({"params": list(late.parameters())})
                if copies:
                    model, optimizer, scheduler, late = copy.deepcopy((model, optimizer, scheduler, late))
            scheduler.engine.measurement.take = taken
            expected = spread(model, step)
            optimizer.zero_grad()
            loss = loss_of(model, step)
            scheduler.engine.measurement.clear()  # those of `spread`
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
            del scheduler.engine.measurement.take
            if step == 5:
                assert seen[-1][0] == 1
            else:
                assert seen[-1] == (16, pytest.approx(expected, rel=1e-9))
    assert scheduler.reading().source == "samples"


class Switched(nn.Module):
    """A second layer that is used from some step on, in a way that has no norms of samples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.use = nn.Linear(3, 2), nn.Linear(2, 2), "not"

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.use == "other rows":
            return x + self.second(x.reshape(-1, 2, 2)).reshape(-1, 2)
        return x + x @ self.second.weight if self.use == "outside" else x


REASONS = {"other rows": "was given 8 rows where the model was given 16", "outside": "without a call"}


@pytest.mark.parametrize("use", REASONS)
@pytest.mark.parametrize("noise", ["samples", "auto"])
def test_a_layer_that_turns_out_late_not_to_be_covered_is_named_or_ends_the_samples(noise, use):
    model = Switched().double()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, noise=noise, model=model, max_lr=1.01e-6)
    sources = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(STEPS):
            model.use = use if step >= 5 else "not"
            optimizer.zero_grad()
            loss = loss_of(model, step)
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
            sources.append(scheduler.reading().source)
    if noise == "samples":
        (warning,) = told
        assert "do not cover second.weight" in str(warning.message) and REASONS[use] in str(warning.message)
        assert sources == ["samples"] * STEPS
    else:
        assert not told and sources == ["samples"] * 5 + ["steps"] * (STEPS - 5)
