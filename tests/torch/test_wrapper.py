"""The wrapper form: an optimizer around an optimizer."""

from __future__ import annotations

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, effective, same_bits


def test_the_wrapper_is_the_optimizer():
    training = Training(OPTIMIZERS["adamw"])
    inner = training.optimizer
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(inner)
    assert isinstance(wrapper, torch.optim.Optimizer)
    assert wrapper.param_groups is inner.param_groups and wrapper.state is inner.state
    assert wrapper.defaults is inner.defaults and "AdamW" in repr(wrapper)
    wrapper.zero_grad()
    assert all(p.grad is None for p in training.model.parameters())
    with pytest.raises(AttributeError):
        _ = wrapper.nonsense
    wrapper.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    assert len(inner.param_groups) == 2 and wrapper.detach() is inner


def test_torch_schedules_accept_the_wrapper():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    schedule = torch.optim.lr_scheduler.StepLR(wrapper, 2, gamma=0.5)
    seen = effective(training.optimizer)
    factors = []
    for step in range(10):
        wrapper.step(loss=training.backward(step))
        schedule.step()
        factors.append(wrapper.engine.factor)
    expected = [0.01 * 0.5 ** (step // 2) * factor for step, factor in enumerate(factors)]
    assert [row[0] for row in seen] == pytest.approx(expected, rel=1e-15)
    assert schedule.get_last_lr() == [0.01 / 32]


def test_the_wrapper_without_losses_keeps_no_copy_after_its_second_step():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    for step in range(60):
        training.backward(step)
        wrapper.step()
        assert (wrapper.engine._first is not None) == (step == 0)
    assert len(wrapper.history) == 60 and wrapper.lr != 0.01


def test_a_wrong_loss_is_refused_before_the_step():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    training.backward(0)
    before = training.everything()
    with pytest.raises(ValueError, match="`loss` must be one number, got a tensor"):
        wrapper.step(loss=torch.ones(3))
    assert same_bits(before, training.everything())
