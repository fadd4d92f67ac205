"""The scheduler form: losses, settings, and an optimizer that is left as it was."""

from __future__ import annotations

import math

import pytest
import torch
from torch.optim import lr_scheduler

import nalr.torch
from nalr._checks import NoiseWarning
from nalr.torch.losses import Losses
from tests.torch.training import OPTIMIZERS, Training, effective, same_bits, two_groups


def test_it_is_a_scheduler_to_whoever_asks():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    assert isinstance(scheduler, lr_scheduler.LRScheduler)
    assert scheduler.optimizer is training.optimizer
    assert scheduler.base_lrs == [0.01, 0.003] and scheduler.last_epoch == 0
    training.run(3, scheduler)
    assert scheduler.last_epoch == 3


def test_without_losses_what_gradients_tell_stands_for_them():
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    first = training.loss(0).item()
    for step in range(100):
        training.backward(step)
        training.optimizer.step()
        scheduler.step()
    assert training.loss(0).item() < 0.5 * first and scheduler.lr != 0.01


def test_a_first_step_is_never_undone_later():
    """Losses that come once in a while, as after an epoch, are no reason to shorten an old step."""
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(5):
        training.backward(step)
        training.optimizer.step()
    before = [p.detach().clone() for p in training.model.parameters()]
    scheduler.step(1e-30)  # a promise no step could keep
    assert same_bits(before, list(training.model.parameters()))


def test_a_first_step_far_too_long_is_shortened_when_its_loss_comes():
    short, long = (Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=1e3)) for _ in range(2))
    scheduler = nalr.torch.NoiseAdaptiveLR(long.optimizer)
    before = [p.detach().clone() for p in short.model.parameters()]
    loss = long.backward(0)
    squared = sum(float(p.grad.square().sum()) for p in long.model.parameters())
    long.optimizer.step()
    scheduler.step(loss)
    # By the loss at most half of it is promised; by the length the step is a fiftieth of the parameters.
    length = 0.02 * math.sqrt(sum(float(p.square().sum()) for p in before) / squared)
    expected = min(0.5 * loss.item() / squared, length)
    assert scheduler.lr == pytest.approx(expected, rel=1e-6)
    short.backward(0)
    for start, moved, p in zip(before, long.model.parameters(), short.model.parameters(), strict=True):
        torch.testing.assert_close(moved.detach(), start - expected * p.grad, rtol=1e-4, atol=1e-3)


def test_losses_that_stop_hold_the_rate_with_one_warning():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(10, scheduler)
    lr = scheduler.lr
    training.backward(10)
    with pytest.warns(NoiseWarning, match=r"No loss was given since the last step, so the rate is held"):
        training.optimizer.step()  # has the loss of step 9
        training.optimizer.step()
    training.optimizer.step()
    assert scheduler.lr == pytest.approx(lr, rel=0.5)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (
            torch.ones(2),
            ValueError,
            r"`loss` must be one number, got a tensor of torch.float32 and shape \(2,\)",
        ),
        ("low", ValueError, None),
        ([1.0], TypeError, "`loss` must be one number, got list"),
    ],
)
def test_a_loss_that_is_no_number_is_refused_where_it_is_given(loss, error, message):
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.backward(0)
    training.optimizer.step()
    with pytest.raises((error, TypeError), match=message or "`loss` must be one number, got str"):
        scheduler.step(loss)


def test_losses_may_be_tensors_or_floats_of_any_type():
    rates = []
    for kind in (float, torch.as_tensor, lambda x: torch.as_tensor([x]), lambda x: torch.tensor(x).double()):
        training = Training(OPTIMIZERS["adamw"])
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        for step in range(20):
            loss = training.backward(step)
            training.optimizer.step()
            scheduler.step(kind(loss.item()))
        rates.append(scheduler.history.to_numpy()["lr"])
    assert all((r == rates[0]).all() for r in rates)


def test_no_graph_is_kept_alive_by_a_loss():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    loss = training.backward(0)
    training.optimizer.step()
    scheduler.step(loss)
    assert loss.requires_grad and not scheduler.engine.losses.latest.requires_grad


def test_measuring_every_fourth_step_decides_every_fourth():
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, every=4, total_steps=400)
    seen = effective(training.optimizer)
    training.run(40, scheduler)
    assert len(scheduler.history) == 10 and scheduler.controller.total_steps == 100
    for first in range(4, 40, 4):
        assert len({row[0] for row in seen[first : first + 4]}) == 1
    assert len({row[0] for row in seen}) > 1


def test_between_measured_steps_backwards_pass_unwatched():
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, every=3)
    watched = []
    for step in range(12):
        loss = training.backward(step, 2)
        watched.append(scheduler.engine.measurement.backwards.count)
        training.optimizer.step()
        scheduler.step(loss)
    assert watched == [2, 0, 0] * 4 and scheduler.reading().source == "microbatches"


def test_a_loss_given_twice_counts_once():
    """Accelerate steps a scheduler as often as there are processes."""
    once, twice = Training(OPTIMIZERS["adamw"]), Training(OPTIMIZERS["adamw"])
    expected, scheduler = (nalr.torch.NoiseAdaptiveLR(t.optimizer) for t in (once, twice))
    for step in range(40):
        for training, each, times in ((once, expected, 1), (twice, scheduler, 2)):
            loss = training.backward(step)
            training.optimizer.step()
            for _ in range(times):
                each.step(loss)
    assert same_bits(once.everything(), twice.everything()) and scheduler.lr == expected.lr


def test_settings_pass_through():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, min_lr=0.009, max_lr=0.011, total_steps=50)
    training.run(49, scheduler)
    lr = scheduler.history.to_numpy()["lr"]
    assert (lr >= 0.009).all() and (lr <= 0.011).all()
    constant = nalr.torch.NoiseAdaptiveLR(
        Training(OPTIMIZERS["sgd"]).optimizer, policy=nalr.policies.Constant()
    )
    assert constant.lr == 0.01


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"noise": "loud"}, ValueError, "`noise` must be one of"),
        ({"noise": "samples"}, ValueError, "`model` must be given"),
        ({"every": 0}, ValueError, "`every` must be"),
        ({"microbatch_size": 0}, ValueError, "`microbatch_size` must be"),
        ({"coordinates": 0}, ValueError, "`coordinates` must be"),
        ({"total_steps": 0}, ValueError, "`total_steps` must be"),
        ({"min_lr": -1.0}, ValueError, "`min_lr` must be"),
        ({"min_lr": 1.0}, ValueError, "`base_lr` must be within"),
        ({"color": "red"}, TypeError, "color"),
    ],
)
def test_settings_out_of_range_are_refused_and_leave_no_hook(settings, error, message):
    training = Training(OPTIMIZERS["sgd"])
    with pytest.raises(error, match=message):
        nalr.torch.NoiseAdaptiveLR(training.optimizer, **settings)
    assert not training.optimizer._optimizer_step_pre_hooks
    assert all(not p._backward_hooks for p in training.model.parameters())
    nalr.torch.NoiseAdaptiveLR(training.optimizer)


def test_an_optimizer_has_one_of_us_at_a_time():
    training = Training(OPTIMIZERS["sgd"])
    first = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    with pytest.raises(ValueError, match="got a watched SGD. Call `detach"):
        nalr.torch.NoiseAdaptiveLR(training.optimizer)
    with pytest.raises(ValueError, match="got a watched SGD. Call `detach"):
        nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    first.detach()
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    with pytest.raises(ValueError, match="got a watched SGD. Call `detach"):
        nalr.torch.NoiseAdaptiveLR(wrapper)


def hooks_of(training: Training) -> list[int]:
    o = training.optimizer
    dicts = [o._optimizer_step_pre_hooks, o._optimizer_step_post_hooks, o._optimizer_state_dict_pre_hooks]
    for p in training.model.parameters():
        dicts += [p._backward_hooks or {}, p._post_accumulate_grad_hooks or {}]
    return [len(d) for d in dicts]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("form", [nalr.torch.NoiseAdaptiveLR, nalr.torch.NoiseAdaptiveOptimizer])
def test_detached_the_optimizer_is_as_it_was(name, form):
    training = Training(OPTIMIZERS[name])
    o = training.optimizer
    training.backward(0)
    o.step()
    groups = [{k: v for k, v in g.items() if k != "params"} for g in o.param_groups]
    before = hooks_of(training), o.step.__func__, set(vars(o)), groups, training.everything()
    adaptive = form(o)
    assert sum(hooks_of(training)) > 0
    adaptive.detach()
    groups = [{k: v for k, v in g.items() if k != "params"} for g in o.param_groups]
    after = hooks_of(training), o.step.__func__, set(vars(o)), groups
    assert after == before[:4] and same_bits(training.everything(), before[4])
    plain = Training(OPTIMIZERS[name])
    for each in (training, plain):
        for step in range(5):
            each.backward(step)
            if each is plain or step:
                each.optimizer.step()
    assert same_bits(plain.everything(), training.everything())


def epochs(num_epochs: int, batches: int, val_loss: bool) -> tuple[list[float], list[str]]:
    """Train with `step(val_loss)` once an epoch, as for a plateau scheduler, or with none; rates, reasons."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, noise="steps")
    inputs = torch.randn(batches, 16, 4)
    for _ in range(num_epochs):
        for batch in inputs:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(batch), batch.sum(1, keepdim=True)).backward()
            optimizer.step()
        if val_loss:
            scheduler.step(7.0)  # of other samples, far from the estimates, which begin at 0
    history = scheduler.history.to_dict()
    return history["lr"], history["reason"]


def test_a_loss_once_an_epoch_is_not_mixed_with_estimates():
    message = "A loss was given after 19 steps without one, so it is not used"
    with pytest.warns(NoiseWarning, match=message) as warned:
        rates, reasons = epochs(10, 20, val_loss=True)
    assert len(warned) == 1
    assert (rates, reasons) == epochs(10, 20, val_loss=False)


def test_losses_that_begin_late_follow_the_estimates():
    losses = Losses()
    assert [losses.of_step(None, 0.5) for _ in range(3)] == [(-0.5, True), (-1.0, True), (-1.5, True)]
    with pytest.warns(NoiseWarning, match="A loss was given after 3 steps without one"):
        assert losses.of_step(9.0, 0.5) == (-2.0, True)
    assert losses.of_step(8.0, 0.5) == (-2.5, False)  # moved to this level from here on
    assert [losses.of_step(loss, 0.5)[0] for loss in (7.0, 9.0)] == [-3.5, -1.5]
    assert losses.offset == 10.5
    again = Losses()
    again.load_state_dict(losses.state_dict())
    assert again.of_step(7.0, 0.5) == (-3.5, False)


def test_a_closure_that_is_left_out_later_holds_the_rate():
    losses = Losses()
    assert losses.of_step(3.0, math.nan) == (3.0, False)
    with pytest.warns(NoiseWarning, match="No loss was given since the last step, so the rate is held"):
        assert losses.of_step(None, 0.5) == (None, False)
