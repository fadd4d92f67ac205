"""The first step may promise at most a part of the loss, whatever the optimizer makes of a gradient."""

from __future__ import annotations

import copy

import pytest
import torch

import nalr.torch
from nalr.torch.undo.first_step import accumulation

TARGETS = torch.linspace(-1.0, 1.0, 64)


def quadratic(weight):
    return 0.5 * torch.sum((weight - TARGETS) ** 2)


def first_step(make, lr, form, **settings):
    """Return the weight before and after the first step, and the rate that the next one begins from."""
    weight = torch.nn.Parameter(torch.zeros(64))
    optimizer = make([weight], lr)
    before = weight.detach().clone()
    loss = quadratic(weight)
    loss.backward()
    if form == "scheduler":
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, **settings)
        optimizer.step()
        scheduler.step(loss)
    else:
        scheduler = nalr.torch.NoiseAdaptiveOptimizer(optimizer, **settings)
        scheduler.step(loss=loss)
    return before, weight.detach(), scheduler.lr, weight.grad


OPTIMIZERS = {
    "sgd": lambda params, lr: torch.optim.SGD(params, lr=lr),
    "momentum": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9),
    "nesterov": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9, nesterov=True),
    "adam": lambda params, lr: torch.optim.Adam(params, lr=lr),
    "adamw": lambda params, lr: torch.optim.AdamW(params, lr=lr, weight_decay=0.1),
}
FORMS = pytest.mark.parametrize("form", ["scheduler", "wrapper"])


@FORMS
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_first_step_that_is_far_too_long_is_shortened_to_a_part_of_the_loss(name, form):
    before, after, lr, gradient = first_step(OPTIMIZERS[name], 100.0, form)
    promise = float(gradient @ (before - after)) * accumulation(OPTIMIZERS[name]([torch.zeros(1)], 1.0))
    share = 0.5 if name == "sgd" else 0.1  # plain SGD is guarded before the step
    limit = share * float(quadratic(before))
    assert promise == pytest.approx(limit, rel=1e-4)
    assert quadratic(after) < quadratic(before)
    assert lr < 100.0


@FORMS
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("lowest", [50.0, 100.0])
def test_a_first_step_is_never_shortened_below_the_lowest_rate(name, form, lowest):
    before, after, lr, _ = first_step(OPTIMIZERS[name], 100.0, form, min_lr=lowest)
    weight = torch.nn.Parameter(torch.zeros(64))
    optimizer = OPTIMIZERS[name]([weight], lowest)
    quadratic(weight).backward()
    optimizer.step()
    assert lr == pytest.approx(lowest)
    torch.testing.assert_close(before - after, before - weight.detach(), rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_without_the_guard_the_loss_would_have_risen(name):
    weight = torch.nn.Parameter(torch.zeros(64))
    quadratic(weight).backward()
    OPTIMIZERS[name]([weight], 100.0).step()
    assert quadratic(weight) > 10.0 * quadratic(torch.zeros(64))


@FORMS
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_short_first_step_is_left_as_it_is(name, form):
    weight = torch.nn.Parameter(torch.zeros(64))
    quadratic(weight).backward()
    OPTIMIZERS[name]([weight], 1e-3).step()
    _, after, lr, _ = first_step(OPTIMIZERS[name], 1e-3, form)
    assert torch.equal(after, weight.detach())
    assert lr == 1e-3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_shortened_step_is_the_step_at_the_shorter_rate(name):
    _, after, lr, _ = first_step(OPTIMIZERS[name], 100.0, "wrapper")
    weight = torch.nn.Parameter(torch.zeros(64))
    quadratic(weight).backward()
    OPTIMIZERS[name]([weight], lr).step()
    torch.testing.assert_close(after, weight.detach(), rtol=1e-5, atol=1e-6)


def test_a_constant_added_to_the_loss_only_loosens_the_guard():
    weight = torch.nn.Parameter(torch.zeros(64))
    optimizer = nalr.torch.NoiseAdaptiveOptimizer(torch.optim.Adam([weight], lr=1.0))
    loss = quadratic(weight)
    loss.backward()
    optimizer.step(loss=loss + 1e6)
    assert optimizer.lr == 1.0


def test_momentum_is_counted_for_what_it_adds_up_to():
    weight = [torch.nn.Parameter(torch.zeros(2))]
    assert accumulation(torch.optim.SGD(weight, lr=1.0)) == 1.0
    assert accumulation(torch.optim.SGD(weight, lr=1.0, momentum=0.9)) == pytest.approx(10.0)
    assert accumulation(torch.optim.SGD(weight, lr=1.0, momentum=0.9, dampening=0.9)) == pytest.approx(1.0)
    assert accumulation(torch.optim.AdamW(weight, lr=1.0)) == 1.0


def test_the_optimizer_state_is_that_of_a_step_of_any_length():
    states = []
    for lr in (1e-3, 100.0):
        weight = torch.nn.Parameter(torch.zeros(64))
        inner = torch.optim.AdamW([weight], lr=lr)
        loss = quadratic(weight)
        loss.backward()
        nalr.torch.NoiseAdaptiveOptimizer(inner).step(loss=loss)
        states.append(copy.deepcopy(inner.state[weight]))
    for name in states[0]:
        assert torch.equal(torch.as_tensor(states[0][name]), torch.as_tensor(states[1][name])), name
