"""Gradients that are missing, zero or not finite, and parameters that come later."""

from __future__ import annotations

import copy
import io

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, effective


def test_a_parameter_without_a_gradient_counts_as_one_of_zeros():
    rates = []
    for zeros in (False, True):
        training = Training(OPTIMIZERS["momentum"])
        extra = torch.nn.Parameter(torch.ones(5))
        training.optimizer.add_param_group({"params": [extra]})
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        for step in range(30):
            loss = training.backward(step, 2)
            extra.grad = torch.zeros(5) if zeros else None
            training.optimizer.step()
            scheduler.step(loss)
        rates.append(scheduler.history.to_numpy()["lr"])
    assert (rates[0] == rates[1]).all()


def test_gradients_may_be_missing_at_times():
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(60):
        loss = training.backward(step, 1 + step % 3 % 2)
        if step % 4 == 1:
            next(training.model.parameters()).grad = None
        training.optimizer.step()
        scheduler.step(loss)
    assert scheduler.reading().nonfinite == 0 and scheduler.lr > 0.0


def test_a_step_without_any_gradient_takes_no_part():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(5, scheduler)
    training.optimizer.zero_grad()
    training.optimizer.step()
    assert len(scheduler.history) == scheduler.engine.steps == 5


def test_a_frozen_parameter_is_left_alone():
    training = Training(OPTIMIZERS["sgd"])
    first = next(training.model.parameters())
    first.requires_grad_(False)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(20, scheduler)
    assert first.grad is None and len(scheduler.history) == 20


@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_group_added_in_mid_run_is_measured_from_then_on(microbatches):
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    seen = effective(training.optimizer)
    training.run(20, scheduler, microbatches=microbatches)
    head = torch.nn.Linear(1, 1)
    training.model.append(head)
    training.optimizer.add_param_group({"params": head.parameters(), "lr": 0.002})
    training.run(20, scheduler, first=20, microbatches=microbatches)
    assert scheduler.engine.measurement.path.dimension == sum(p.numel() for p in training.model.parameters())
    assert seen[-1][1] / seen[-1][0] == pytest.approx(0.2) and scheduler.get_last_lr() == seen[-1]
    assert scheduler.reading().source == ("steps" if microbatches == 1 else "microbatches")
    scheduler.detach()
    assert not head.weight._backward_hooks


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_gradients_that_are_not_finite_take_no_part(name):
    """The user puts parameters and state right after each, and the path begins anew."""
    training = Training(OPTIMIZERS[name])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    for step in range(30):
        before = training.model.state_dict(), training.optimizer.state_dict()
        before = {k: v.clone() for k, v in before[0].items()}
        loss = training.backward(step)
        if step in (10, 11):
            training.model[0].weight.grad[0, 0] = torch.nan
            lr = wrapper.lr
        wrapper.step(loss=loss)
        if step in (10, 11):
            assert str(wrapper.last_decision.reason) == "skip" and wrapper.lr <= lr
            training.model.load_state_dict(before)
            for state in training.optimizer.state.values():
                for value in state.values():
                    value.nan_to_num_(0.0)
    decision = wrapper.last_decision
    assert decision.reason != "skip" and decision.evidence["displacement_signal"] == pytest.approx(
        decision.evidence["displacement_signal"]
    )
    assert wrapper.reading().nonfinite == 2


def test_copies_of_a_watched_model_and_optimizer_are_not_watched():
    """As moving averages and snapshots of whole models are made."""
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(5, scheduler)
    model, optimizer = copy.deepcopy((training.model, training.optimizer))
    file = io.BytesIO()
    torch.save(training.model, file)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    assert scheduler.engine.measurement.backwards.count == 0 and len(scheduler.history) == 5
    assert all(not p._backward_hooks for p in model.parameters())
