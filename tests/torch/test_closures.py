"""Steps with closures are decided as those with losses."""

from __future__ import annotations

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, same_bits

EACH = pytest.mark.parametrize("name", OPTIMIZERS)


def closure_of(training: Training, step: int, calls: list | None = None):
    def closure():
        loss = training.backward(step)
        if calls is not None:
            calls.append(loss.item())
        return loss

    return closure


def test_before_a_closure_there_is_no_gradient_to_see():
    """What a hook that looks at gradients before the step finds, and why ours looks after the closure."""
    training, seen = Training(OPTIMIZERS["sgd"]), []
    training.optimizer.register_step_pre_hook(
        lambda o, args, kwargs: seen.append([p.grad for p in training.model.parameters()])
    )
    training.optimizer.step(closure_of(training, 0))
    assert seen == [[None] * 4]


@EACH
@pytest.mark.parametrize("how", ["positional", "keyword", "wrapper"])
def test_steps_with_closures_decide_as_those_with_losses(name, how):
    plain, closed = Training(OPTIMIZERS[name]), Training(OPTIMIZERS[name])
    expected = nalr.torch.NoiseAdaptiveOptimizer(plain.optimizer)
    if how == "wrapper":
        adaptive = nalr.torch.NoiseAdaptiveOptimizer(closed.optimizer)
    else:
        adaptive = nalr.torch.NoiseAdaptiveLR(closed.optimizer)
    for step in range(40):
        expected.step(loss=plain.backward(step))
        closure = closure_of(closed, step)
        if how == "positional":
            loss = closed.optimizer.step(closure)
        elif how == "keyword":
            loss = closed.optimizer.step(closure=closure)
        else:
            loss = adaptive.step(closure)
        assert torch.is_tensor(loss)
        if how != "wrapper":
            adaptive.step()  # as a trainer does that knows no metric
    assert same_bits(plain.everything(), closed.everything())
    assert adaptive.lr == expected.lr != adaptive.controller.base_lr


class ManyCalls(torch.optim.SGD):
    """Calls its closure five times, and makes a step after each."""

    def step(self, closure):
        first = closure()
        for _ in range(4):
            super().step()
            closure()
        super().step()
        return first


class ReadsFirst(torch.optim.SGD):
    """Reads its rate before it calls the closure."""

    def step(self, closure):
        rate = self.param_groups[0]["lr"]
        loss = closure()
        self.used.append(rate)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p -= rate * p.grad
        return loss


def test_a_rate_that_is_read_before_the_closure_is_ours():
    """It is that of the decision before."""
    training = Training(lambda t: ReadsFirst(t.model.parameters(), lr=1e-5))
    training.optimizer.used = []
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    decided = []
    for step in range(60):
        training.optimizer.step(closure_of(training, step))
        scheduler.step()
        decided.append(scheduler.lr)
        assert training.optimizer.param_groups[0]["lr"] == 1e-5
    assert training.optimizer.used[1:] == pytest.approx(decided[:-1], rel=1e-12)
    assert training.optimizer.used[-1] > 2e-5


def test_only_the_first_of_many_calls_of_a_closure_is_measured():
    training, calls = Training(lambda t: ManyCalls(t.model.parameters(), lr=0.01)), []
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(4):
        first = len(calls)
        training.optimizer.step(closure_of(training, step, calls))
        scheduler.step()
        assert scheduler.history.to_numpy()["loss"][-1] == pytest.approx(calls[first], rel=1e-7)
    assert len(calls) > 8 and len(scheduler.history) == 4
    assert calls[-1] < calls[0]


def test_a_closure_without_a_loss_uses_the_loss_given():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(5):
        training.optimizer.step(lambda step=step: training.backward(step) and None)
        scheduler.step(3.0)
    assert len(scheduler.history) == 5


def test_a_closure_that_raises_leaves_the_users_rates():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    for step in range(40):
        wrapper.step(loss=training.backward(step))

    def closure():
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        wrapper.step(closure)
    with pytest.raises(RuntimeError, match="no data"):
        training.optimizer.step(closure)
    assert training.optimizer.param_groups[0]["lr"] == 0.01
    wrapper.step(loss=training.backward(40))
    assert len(wrapper.history) == 41
