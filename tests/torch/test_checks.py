"""Which optimizers and parameters are taken, and the sentences for the others."""

from __future__ import annotations

import pytest
import torch

import nalr.torch
from nalr.torch.checks import WRAPPED


class Wrapper:
    """Keeps an optimizer under some name, as trainers do."""

    def __init__(self, name, optimizer):
        setattr(self, name, optimizer)
        self.step = optimizer.step


@pytest.mark.parametrize("name", ["optimizer", "original_optimizer", "base_optimizer", "optim"])
def test_the_optimizer_in_a_wrapper_is_watched(name):
    assert name in WRAPPED
    weight = torch.nn.Parameter(torch.ones(2))
    inner = torch.optim.SGD([weight], lr=0.1)
    wrapper = Wrapper(name, Wrapper(name, inner))
    scheduler = nalr.torch.NoiseAdaptiveLR(wrapper)
    weight.grad = torch.ones(2)
    wrapper.step()
    assert scheduler.engine.optimizer is inner and scheduler.engine.steps == 1


@pytest.mark.parametrize("noise", ["steps", "auto", "microbatches"])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.bool, torch.complex64])
def test_frozen_parameters_of_any_type_are_left_alone(kind, noise):
    runs = []
    for extra in ([], [torch.nn.Parameter(torch.ones(3, dtype=kind), requires_grad=False)]):
        weight = torch.nn.Parameter(torch.arange(4.0))
        optimizer = torch.optim.SGD([*extra, weight], lr=0.01)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, noise=noise, rollback=True)
        for _ in range(20):
            optimizer.zero_grad()
            loss = (weight - 1.0).square().sum()
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
        assert all(bool((frozen == 1).all()) for frozen in extra)
        runs.append((weight.tolist(), scheduler.get_last_lr()))
    assert runs[0] == runs[1]


def test_complex_parameters_that_train_are_refused():
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(TypeError, match="real floating-point parameters, got one of torch.complex64"):
        nalr.torch.NoiseAdaptiveLR(torch.optim.SGD([weight], lr=0.1))


@pytest.mark.parametrize("noise", ["steps", "auto", "microbatches"])
def test_a_tensor_that_is_no_leaf_is_measured_from_step_to_step(noise):
    root = torch.arange(3.0, requires_grad=True)
    weight = root * 1.0
    weight.retain_grad()
    optimizer = torch.optim.SGD([weight], lr=0.01)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, noise=noise)
    for _ in range(3):
        weight.grad = 2.0 * weight.detach()
        optimizer.step()
        scheduler.step(weight.detach().square().sum())
    assert scheduler.engine.steps == 3 and scheduler.reading().source == "steps"


def test_optimizers_whose_rate_does_nothing_are_refused():
    weight = torch.nn.Parameter(torch.ones(2))
    relative = torch.optim.SGD([weight], lr=0.1)
    relative.param_groups[0]["relative_step"] = True  # as Adafactor of transformers has it
    cases = {
        "Rprop, whose rate is only the size of its first step": torch.optim.Rprop([weight]),
        "LBFGS, whose curvature already scales its many inner steps": torch.optim.LBFGS([weight], lr=0.1),
        "SGD with `relative_step`": relative,
    }
    for sentence, optimizer in cases.items():
        with pytest.raises(TypeError, match=f"must make steps in proportion to its rate, got {sentence}"):
            nalr.torch.NoiseAdaptiveLR(optimizer)
