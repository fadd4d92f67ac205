"""Every kind of optimizer: subclasses, stand-ins of trainers, and what is refused."""

from __future__ import annotations

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, same_bits


class Decorated(torch.optim.SGD):
    """A subclass whose step calls that of its base."""

    raises = False

    def step(self, closure=None):
        if self.raises:
            raise RuntimeError("out of memory")
        return super().step(closure)


def test_a_subclass_that_calls_its_base_is_measured_once():
    calls = []
    torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)  # from now on, SGD.step calls hooks itself
    plain = Training(OPTIMIZERS["sgd"])
    training = Training(lambda t: Decorated(t.model.parameters(), lr=0.01))
    expected = nalr.torch.NoiseAdaptiveLR(plain.optimizer)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.optimizer.register_step_pre_hook(lambda *_: calls.append(1))
    for step in range(30):
        for each, ours in ((plain, expected), (training, scheduler)):
            loss = each.backward(step)
            each.optimizer.step()
            ours.step(loss)
        if step == 10:
            training.optimizer.raises = True
            with pytest.raises(RuntimeError, match="out of memory"):
                training.optimizer.step()
            scheduler.step(loss)
            training.optimizer.raises = False
    assert len(calls) == 61  # any other hook runs twice a step
    assert abs(len(scheduler.history) - len(expected.history)) <= 1  # the step that raised was decided
    assert training.optimizer.param_groups[0]["lr"] == 0.01


def test_a_step_that_raised_does_not_silence_the_next():
    training = Training(lambda t: Decorated(t.model.parameters(), lr=0.01))
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(5, scheduler)
    training.optimizer.raises = True
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            training.optimizer.step()
        scheduler.step(1.0)
        assert training.optimizer.param_groups[0]["lr"] == 0.01  # before another schedule looks there
    training.optimizer.raises = False
    steps = scheduler.engine.steps
    training.run(5, scheduler, first=5)
    assert scheduler.engine.steps == steps + 5 and training.optimizer.param_groups[0]["lr"] == 0.01


class Accelerated(torch.optim.Optimizer):
    """As Accelerate's: an Optimizer by class that has no hooks, with the real one inside."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self, closure=None):
        self.optimizer.step(closure)

    def zero_grad(self, set_to_none=None):
        self.optimizer.zero_grad()

    @property
    def param_groups(self):
        return self.optimizer.param_groups


class Delegating:
    """As Lightning's: everything is asked of the real one."""

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def __getattr__(self, name):
        return getattr(self._optimizer, name)


@pytest.mark.parametrize("outside", [Accelerated, Delegating, lambda o: Accelerated(Delegating(o))])
def test_stand_ins_are_looked_through(outside):
    training, plain = Training(OPTIMIZERS["adamw"]), Training(OPTIMIZERS["adamw"])
    optimizer = outside(training.optimizer)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    expected = nalr.torch.NoiseAdaptiveLR(plain.optimizer)
    for step in range(30):
        loss = training.backward(step)
        optimizer.step()
        scheduler.step(loss)
    plain.run(30, expected)
    assert scheduler.lr == expected.lr and same_bits(training.everything(), plain.everything())


class Partitioned:
    """As DeepSpeed's."""

    __module__ = "deepspeed.runtime.zero.stage3"


class Hookless(torch.optim.Optimizer):
    """An Optimizer by class alone."""

    def __init__(self):
        self.param_groups = []


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (None, "must be a torch.optim.Optimizer with step hooks, got NoneType"),
        (3.0, "must be a torch.optim.Optimizer with step hooks, got float"),
        (Hookless(), "must be a torch.optim.Optimizer with step hooks, got Hookless"),
        (Accelerated(Partitioned()), "got one of DeepSpeed, which partitions them. Drive"),
    ],
)
@pytest.mark.parametrize("form", [nalr.torch.NoiseAdaptiveLR, nalr.torch.NoiseAdaptiveOptimizer])
def test_what_is_no_optimizer_is_refused_with_a_sentence(form, optimizer, message):
    with pytest.raises(TypeError, match=message):
        form(optimizer)


def test_what_leaves_no_whole_gradient_is_refused():
    sharded = torch.nn.Parameter(torch.ones(3))
    sharded.to_local = lambda: sharded
    flattened = torch.nn.Parameter(torch.ones(3))
    flattened._fsdp_flattened = True
    for parameter in (sharded, flattened):
        with pytest.raises(TypeError, match="must hold whole tensors, got a DTensor"):
            nalr.torch.NoiseAdaptiveLR(torch.optim.SGD([parameter], lr=0.1))
    phase = torch.nn.Parameter(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"real floating-point parameters, got one of torch.complex64"):
        nalr.torch.NoiseAdaptiveLR(torch.optim.SGD([phase], lr=0.1))
    still = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.0)
    with pytest.raises(ValueError, match="must have a group with a positive learning rate"):
        nalr.torch.NoiseAdaptiveLR(still)


# `torch.distributed.optim` of torch 2.13 calls `torch.jit` when it is imported.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_optimizers_in_the_backward_are_refused():
    from torch.distributed.optim import _apply_optimizer_in_backward

    model = torch.nn.Linear(2, 2)
    _apply_optimizer_in_backward(torch.optim.SGD, model.parameters(), {"lr": 0.1})
    with pytest.raises(TypeError, match="must step after the backward: this model's optimizers run inside"):
        nalr.torch.NoiseAdaptiveLR(torch.optim.SGD(model.parameters(), lr=0.1))


def test_sparse_gradients_are_refused_when_they_come_and_rates_stay():
    table = torch.nn.Embedding(10, 3, sparse=True)
    optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(TypeError, match=r"must be dense, got torch.sparse_coo .* Build its layer with"):
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1
    scheduler.detach()
    optimizer.step()
