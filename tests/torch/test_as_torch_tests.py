"""What torch's own tests of its schedulers ask, asked of ours."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.optim import lr_scheduler as lrs

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, effective, two_groups


def test_the_first_rates_are_marked_in_the_groups_as_torch_does_it():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    plain = Training(two_groups)
    lrs.ConstantLR(plain.optimizer, factor=1.0)
    for ours, theirs in zip(training.optimizer.param_groups, plain.optimizer.param_groups, strict=True):
        assert {k: v for k, v in ours.items() if k != "params"} == {
            k: v for k, v in theirs.items() if k != "params"
        }
    scheduler.detach()
    assert all("initial_lr" not in group for group in training.optimizer.param_groups)


def test_marks_that_another_schedule_uses_stay():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    lrs.StepLR(training.optimizer, 3)
    scheduler.detach()
    assert [group["initial_lr"] for group in training.optimizer.param_groups] == [0.01, 0.003]


def test_a_mark_in_a_tensor_is_a_copy():
    rate = torch.tensor(0.001)
    training = Training(lambda t: torch.optim.AdamW(t.model.parameters(), lr=rate, foreach=False))
    nalr.torch.NoiseAdaptiveLR(training.optimizer)
    group = training.optimizer.param_groups[0]
    assert group["initial_lr"] is not rate and group["initial_lr"].item() == rate.item()


@pytest.mark.parametrize("form", [nalr.torch.NoiseAdaptiveLR, lambda o, **k: lrs.StepLR(o, 3, **k)])
def test_last_epoch_needs_marked_groups_and_goes_on_counting(form):
    training = Training(two_groups)
    with pytest.raises(KeyError, match="initial_lr"):
        form(training.optimizer, last_epoch=4)
    assert not training.optimizer._optimizer_step_pre_hooks
    for group in training.optimizer.param_groups:
        group["initial_lr"] = group["lr"]
        group["lr"] *= 0.5
    scheduler = form(training.optimizer, last_epoch=4)
    assert scheduler.last_epoch == 5 and scheduler.base_lrs == [0.01, 0.003]
    training.backward(0)
    training.optimizer.step()
    scheduler.step()
    assert scheduler.last_epoch == 6


def test_rates_below_their_marks_are_a_schedule():
    """A run that is resumed where a schedule had halved the rates goes on at half of them."""
    training = Training(two_groups)
    for group in training.optimizer.param_groups:
        group["initial_lr"] = group["lr"]
        group["lr"] *= 0.5
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, last_epoch=4)
    assert scheduler.controller.base_lr == 0.01 and scheduler.get_last_lr() == [0.005, 0.0015]
    seen = effective(training.optimizer)
    training.run(1, scheduler)
    assert seen == [[0.005, 0.0015]]


def test_get_last_lr_is_a_copy():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(3, scheduler)
    told = scheduler.get_last_lr()
    told[0] *= 10.0
    scheduler.get_lr()[0] = 7.0
    assert scheduler.get_last_lr() != told and training.optimizer.param_groups[0]["lr"] == 0.01


def test_get_lr_within_a_step_is_the_users_own():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    within = []
    training.optimizer.register_step_pre_hook(lambda *_: within.append(scheduler.get_lr()))
    training.run(5, scheduler)
    assert within == [[0.01, 0.003]] * 5


def test_a_sequence_may_begin_between_a_step_and_its_loss():
    """SequentialLR, made after a step, resets rates and counts, and takes no loss for it."""
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    loss = training.backward(0)
    training.optimizer.step()
    step = lrs.StepLR(training.optimizer, 2)
    sequence = lrs.SequentialLR(training.optimizer, [scheduler, step], milestones=[3])
    assert scheduler.last_epoch == 0 and step.last_epoch == -1 and len(scheduler.history) == 0
    scheduler.step(loss)
    assert scheduler.history.to_dict()["loss"] == [loss.item()]
    for number in range(1, 7):
        scheduler.engine.give(training.backward(number))
        training.optimizer.step()
        sequence.step()
    assert [group["lr"] for group in training.optimizer.param_groups] == pytest.approx([0.001, 0.0003])


@pytest.mark.parametrize("order", ["ours first", "ours last"])
def test_a_sequence_is_resumed_exactly(order):
    def fresh():
        training = Training(OPTIMIZERS["adamw"])
        ours = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        parts = [ours, lrs.LinearLR(training.optimizer, 0.1, total_iters=4)]
        if order == "ours last":
            parts.reverse()
        return training, lrs.SequentialLR(training.optimizer, parts, milestones=[6])

    def run(first, last, training, sequence):
        for step in range(first, last):
            training.backward(step)
            training.optimizer.step()
            sequence.step()

    whole, half = fresh(), fresh()
    seen = effective(whole[0].optimizer)
    run(0, 14, *whole)
    run(0, 8, *half)
    states = [copy.deepcopy(part.state_dict()) for part in (half[0].model, half[0].optimizer, half[1])]
    resumed = fresh()
    again = effective(resumed[0].optimizer)
    resumed[1].load_state_dict(states[2])
    resumed[0].model.load_state_dict(states[0])
    resumed[0].optimizer.load_state_dict(states[1])
    run(8, 14, *resumed)
    assert again == seen[8:] and len({row[0] for row in seen}) > 1


ALL = {
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "Adagrad": lambda p: torch.optim.Adagrad(p),
    "Adamax": lambda p: torch.optim.Adamax(p),
    "ASGD": lambda p: torch.optim.ASGD(p),
    "NAdam": lambda p: torch.optim.NAdam(p),
    "RAdam": lambda p: torch.optim.RAdam(p),
    "RMSprop": lambda p: torch.optim.RMSprop(p),
}


@pytest.mark.parametrize("name", ALL)
def test_each_optimizer_steps_with_what_get_last_lr_says(name):
    """At what get_last_lr said, by hand and without us, the same optimizer makes the same steps."""
    training, plain = (Training(lambda t: ALL[name](t.model.parameters())) for _ in range(2))
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, noise="steps")
    for step in range(40):
        loss = training.backward(step)
        training.optimizer.step()
        told = scheduler.get_last_lr()[0]
        plain.backward(step)
        plain.optimizer.param_groups[0]["lr"] = told
        plain.optimizer.step()
        if step:
            pairs = zip(training.model.parameters(), plain.model.parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
        scheduler.step(loss)
        if step == 0:  # may be shortened, now that its loss is known
            plain.model.load_state_dict(training.model.state_dict())
