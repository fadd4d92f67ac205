"""Copies of a run, and of its parts, go on as the original does."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda parts: pickle.loads(pickle.dumps(parts))}
SETTINGS = [
    {"noise": "steps"},
    {"noise": "microbatches"},
    {"noise": "samples"},
    {"noise": "auto", "rollback": True},
]
FORMS = [nalr.torch.NoiseAdaptiveLR, nalr.torch.NoiseAdaptiveOptimizer]


def go(model, optimizer, follower, first, steps, microbatches=2):
    """Train; return the rates that the optimizer used, and the parameters at the end."""
    rates = []
    inner = getattr(follower, "inner", optimizer)
    handle = inner.register_step_pre_hook(lambda *_: rates.append(inner.param_groups[0]["lr"]))
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(16, 3, generator=generator)
        optimizer.zero_grad()
        total = 0.0
        for part in inputs.chunk(microbatches):
            loss = (model(part) - part.sum(1, keepdim=True)).square().mean() / microbatches
            loss.backward()
            total += loss.item()
        if isinstance(follower, torch.optim.Optimizer):
            follower.step(loss=total)
        else:
            optimizer.step()
            follower.step(total)
    handle.remove()
    return rates, [parameter.tolist() for parameter in model.parameters()]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_a_copy_trains_its_own_model_as_the_original_does(form, settings, copied):
    training = Training(OPTIMIZERS["adamw"])
    follower = form(training.optimizer, model=training.model, **settings)
    parts = (training.model, training.optimizer, follower)
    go(*parts, 0, 30)
    twin = COPIES[copied](parts)
    expected = go(*parts, 30, 20)
    assert go(*twin, 30, 20) == expected
    assert twin[2].engine.steps == 50 and twin[2].reading().source == follower.reading().source
    assert len(set(expected[0])) > 1  # the rate moved
    again = COPIES[copied](twin)
    assert go(*again, 50, 10) == go(*parts, 50, 10)
    hooks = [sum(len(m._forward_hooks) for m in model.modules()) for model in (training.model, again[0])]
    assert hooks[0] == hooks[1]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("form", FORMS)
def test_copies_of_one_part_leave_the_others_alone(form, copied):
    training = Training(OPTIMIZERS["sgd"])
    follower = form(training.optimizer)
    go(training.model, training.optimizer, follower, 0, 10)
    before = [parameter.tolist() for parameter in training.model.parameters()]
    alone = COPIES[copied](follower)
    assert alone.engine.optimizer is not training.optimizer
    weights = alone.engine.optimizer.param_groups[0]["params"]
    weights[0].grad = torch.ones_like(weights[0])
    alone.engine.losses.give(1.0, False)
    alone.engine.optimizer.step()
    assert alone.engine.steps == 11 and follower.engine.steps == 10
    model, optimizer = COPIES[copied]((training.model, training.optimizer))
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()  # a plain one, at the user's rate
    assert follower.engine.steps == 10
    for weight, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), torch.tensor(old) - 0.01)
    assert [parameter.tolist() for parameter in training.model.parameters()] == before


def test_a_copy_of_a_detached_run_stays_detached():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    scheduler.detach()
    twin = copy.deepcopy(scheduler)
    assert not twin.optimizer._optimizer_step_pre_hooks
    nalr.torch.NoiseAdaptiveLR(twin.optimizer)


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_a_copy_made_after_parameters_were_resized_goes_on_as_the_original_does(form, settings, copied):
    training = Training(OPTIMIZERS["sgd"])
    follower = form(training.optimizer, model=training.model, **settings)
    parts = (training.model, training.optimizer, follower)
    go(*parts, 0, 20)
    for name, shape in (("0.weight", (5, 3)), ("0.bias", (5,)), ("2.weight", (1, 5))):
        parameter = training.model.get_parameter(name)
        parameter.grad, parameter.data = None, torch.full(shape, 0.1)
    twin = COPIES[copied](parts)
    assert go(*twin, 20, 20) == go(*parts, 20, 20)
    assert twin[2].engine.steps == 40
