"""A scheduler whose optimizer's steps it never sees says so, once."""

from __future__ import annotations

import types
import warnings

import pytest
import torch

import nalr.torch
from nalr._checks import NoiseWarning

SENTENCE = (
    r"`scheduler.step` was called, but no step of its SGD was seen, so its rate stays as it is. Call "
    r"`optimizer.step\(\)` first; if you did, give the scheduler the optimizer whose own `step` is called"
)


class TwoSteps(torch.optim.Optimizer):
    """Steps as SAM does, in two calls of which none is `step`."""

    def __init__(self, params, base):
        super().__init__(params, {"lr": 0.1})
        self.base_optimizer = base

    def step(self, closure=None):
        raise NotImplementedError

    def second_step(self):
        self.base_optimizer.step()


def weight_with_gradient(value=1.0):
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), value)
    return weight


def caught(step, scheduler, times=5):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(times):
            step()
            scheduler.step(1.0)
    return [str(w.message) for w in found if w.category is NoiseWarning]


def another():
    weight = weight_with_gradient()
    return torch.optim.SGD([weight], lr=0.1).step, nalr.torch.NoiseAdaptiveLR(
        torch.optim.SGD([weight], lr=0.1)
    )


def replaced():
    optimizer = torch.optim.SGD([weight_with_gradient()], lr=0.1)
    optimizer.step = lambda: None
    return optimizer.step, nalr.torch.NoiseAdaptiveLR(optimizer)


@pytest.mark.parametrize("build", [another, replaced])
def test_a_step_that_is_not_seen_is_told_once(build):
    step, scheduler = build()
    with pytest.warns(NoiseWarning, match=SENTENCE) as record:
        for _ in range(5):
            step()
            scheduler.step(1.0)
    assert len(record) == 1 and record[0].filename == __file__


def test_an_optimizer_of_two_steps_is_told_of_and_its_base_works():
    weight = weight_with_gradient()
    base = torch.optim.SGD([weight], lr=0.1)
    both = TwoSteps([weight], base)
    outer = nalr.torch.NoiseAdaptiveLR(both)
    assert ["`base_optimizer`" in message for message in caught(both.second_step, outer)] == [True]
    inner = nalr.torch.NoiseAdaptiveLR(base)
    assert caught(both.second_step, inner) == [] and inner.engine.steps == 5


def test_a_replaced_step_that_calls_the_old_one_is_seen():
    optimizer = torch.optim.SGD([weight_with_gradient()], lr=0.1)
    scheduler, old = nalr.torch.NoiseAdaptiveLR(optimizer), optimizer.step
    optimizer.step = types.MethodType(lambda self: old(), optimizer)
    assert caught(optimizer.step, scheduler) == [] and scheduler.engine.steps == 5


def test_the_old_order_is_told_as_torch_does():
    optimizer = torch.optim.SGD([weight_with_gradient()], lr=0.1)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    with pytest.warns(UserWarning, match="how-to-adjust-learning-rate") as record:
        for _ in range(5):
            scheduler.step()
            optimizer.step()
    assert len(record) == 1


def test_steps_that_a_scaler_leaves_out_are_no_mistake():
    weight = weight_with_gradient(float("inf"))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    assert caught(lambda: None, scheduler, 3) == []
    weight.grad = torch.ones(2)
    assert caught(optimizer.step, scheduler) == []
