"""Groups that maximize: steps and losses are judged by where the optimizer means to go."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

import nalr.torch
from nalr import NoiseWarning
from tests.torch.training import Training, same_bits

OPTIMIZERS = {
    "sgd": lambda p, up: torch.optim.SGD(p, lr=1e-3, maximize=up),
    "momentum": lambda p, up: torch.optim.SGD(p, lr=1e-3, momentum=0.9, weight_decay=1e-3, maximize=up),
    "adamw": lambda p, up: torch.optim.AdamW(p, lr=1e-4, maximize=up),
}
OPTIONS = {
    "steps": {"noise": "steps"},
    "microbatches": {"noise": "microbatches"},
    "samples": {"noise": "samples"},
    "operations of torch": {"on_device": True},
    "every other step": {"every": 2},
    "a tenth of the values": {"coordinates": 5},
}


def build(name: str, up: bool, wrapped: bool, options: dict):
    """Return a training and its form; `up`: of minus the loss, maximized."""
    training = Training(lambda t: OPTIMIZERS[name](t.model.parameters(), up))
    form = nalr.torch.NoiseAdaptiveOptimizer if wrapped else nalr.torch.NoiseAdaptiveLR
    model = training.model if options.get("noise") == "samples" else None
    return training, form(training.optimizer, model=model, **options)


def backward(training: Training, step: int, up: bool, parts: int) -> torch.Tensor:
    training.optimizer.zero_grad()
    inputs, targets = training.data(step)
    total = torch.zeros(())
    for x, y in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
        loss = mse_loss(training.model(x), y) / parts
        loss = -loss if up else loss
        loss.backward()
        total = total + loss.detach()
    return total


def train(training: Training, form, up: bool, how: str, steps: int, parts: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        if how == "scheduler":
            loss = backward(training, step, up, parts)
            training.optimizer.step()
            form.step(loss)
        elif how == "no loss":
            backward(training, step, up, parts)
            training.optimizer.step()
            form.step()
        elif how == "loss":
            form.step(loss=backward(training, step, up, parts))
        else:
            form.step(lambda step=step: backward(training, step, up, parts))


def record(form) -> dict:
    columns = form.history.to_dict()
    return {name: columns[name] for name in ("lr", "reason", "noise_scale", "loss_source")}


def check_equal(name: str, how: str, options: dict, steps: int = 120, parts: int = 1) -> None:
    runs = []
    for up in (False, True):
        training, form = build(name, up, how in ("loss", "closure"), options)
        train(training, form, up, how, steps, parts)
        runs.append((training, form))
    (down, expected), (up, found) = runs
    np.testing.assert_equal(record(found), record(expected))
    assert same_bits(list(up.model.state_dict().values()), list(down.model.state_dict().values()))
    assert found.lr == expected.lr != expected.controller.base_lr
    shown, other = found.history.to_numpy(), expected.history.to_numpy()
    np.testing.assert_array_equal(shown["loss"], -other["loss"])
    np.testing.assert_array_equal(shown["smoothed_loss"], -other["smoothed_loss"])


@pytest.mark.parametrize("how", ["scheduler", "loss", "closure", "no loss"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_to_maximize_minus_the_loss_is_to_minimize_it(name, how):
    check_equal(name, how, {})


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("how", ["scheduler", "loss"])
def test_it_is_so_with_every_source_and_sum(how, options):
    check_equal("adamw", how, options, 60, 2 if options.get("noise") == "microbatches" else 1)


@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_a_first_step_from_a_large_rate_is_shortened_alike(name):
    """The promise of the step, ⟨g, s⟩, has the sign of its group."""
    kept = []
    for up in (False, True):
        training, form = build(name, up, True, {})
        training.optimizer.param_groups[0]["lr"] = 1e3
        form = nalr.torch.NoiseAdaptiveOptimizer(form.detach())
        train(training, form, up, "loss", 30, 1)
        kept.append((form.history.to_dict()["lr"], training.everything()))
    assert kept[0][0] == kept[1][0] and kept[0][0][0] < 900.0
    assert same_bits(list(kept[1][1][:4]), list(kept[0][1][:4]))


def test_a_rate_survives_a_reward_that_rises():
    """The run of the report: the rate fell to 1e-11, since each step seemed to go uphill."""
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, maximize=True)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    for _ in range(600):
        inputs = torch.randn(16, 4)
        reward = -mse_loss(model(inputs), inputs.sum(1, keepdim=True))
        optimizer.zero_grad()
        reward.backward()
        optimizer.step()
        scheduler.step(reward)
    assert reward.item() > -0.01
    assert scheduler.lr > 1e-6
    assert scheduler.history.to_numpy()["loss"][-1] == pytest.approx(reward.item())


def test_a_run_that_maximizes_goes_on_from_a_checkpoint_and_as_a_copy():
    whole, form = build("momentum", True, False, {})
    train(whole, form, True, "scheduler", 30, 1)
    copied, copied_form = copy.deepcopy((whole, form))
    resumed, resumed_form = build("momentum", True, False, {})
    resumed.model.load_state_dict(whole.model.state_dict())
    resumed.optimizer.load_state_dict(copy.deepcopy(whole.optimizer.state_dict()))
    resumed_form.load_state_dict(copy.deepcopy(form.state_dict()))
    for training, each in ((whole, form), (copied, copied_form), (resumed, resumed_form)):
        train(training, each, True, "scheduler", 30, 1, first=30)
        assert same_bits(training.everything(), whole.everything())
        np.testing.assert_equal(each.history.to_dict(), form.history.to_dict())


# -- games --------------------------------------------------------------------------------------------


def game(optimizer_class, watched: bool, steps: int = 400, lr: float = 0.05, **options):
    """Return how far min over x, max over y of ½x² − ½y² + xy/2 ended from (0, 0), and the form."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.nn.Parameter(torch.full((10,), 3.0)) for _ in range(2))
    optimizer = optimizer_class([{"params": [x]}, {"params": [y], "maximize": True}], lr=lr, **options)
    form = nalr.torch.NoiseAdaptiveOptimizer(optimizer) if watched else None
    for _ in range(steps):
        optimizer.zero_grad()
        noise = 0.3 * torch.randn(2, 10, generator=generator)
        loss = (0.5 * x.square() - 0.5 * y.square() + 0.5 * x * y + noise[0] * x + noise[1] * y).sum() + 7.0
        loss.backward()
        optimizer.step() if form is None else form.step(loss=loss)
    return float(x.detach().square().sum() + y.detach().square().sum()), form


@pytest.mark.parametrize("lr", [0.05, 1e-3])
@pytest.mark.parametrize(
    "kind, options", [(torch.optim.SGD, {}), (torch.optim.SGD, {"momentum": 0.9}), (torch.optim.Adam, {})]
)
def test_a_game_of_two_players_converges_as_with_a_constant_rate(kind, options, lr):
    constant, _ = game(kind, False, **options)
    with pytest.warns(NoiseWarning, match="Some groups .* maximize and others minimize") as told:
        found, form = game(kind, True, lr=lr, **options)
    assert len(told) == 1
    assert found < max(2.0 * constant, 1.0)  # it began at 180
    assert 1e-3 < form.lr < 10.0
    assert form.history.to_dict()["loss_source"][-1] == "predicted"


def test_a_game_without_losses_is_decided_without_a_word():
    x, y = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [x]}, {"params": [y], "maximize": True}], lr=0.01)
    form = nalr.torch.NoiseAdaptiveOptimizer(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(50):
            optimizer.zero_grad()
            (x.square() - y.square()).sum().backward()
            form.step()
    assert x.norm() < 1.0 and y.norm() < 1.0 and form.lr > 0.01


def test_a_frozen_group_has_no_say_in_the_sign_of_the_loss():
    frozen, weight = torch.nn.Parameter(torch.ones(3), requires_grad=False), torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([{"params": [weight]}, {"params": [frozen], "maximize": True}], lr=0.01)
    form = nalr.torch.NoiseAdaptiveOptimizer(optimizer)
    for _ in range(20):
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        form.step(loss=loss)
    assert set(form.history.to_dict()["loss_source"]) == {"given"}


@pytest.mark.parametrize("level", [0.0, 100.0, -100.0])
@pytest.mark.parametrize("how", ["flag", "group"])
def test_a_flag_may_change_and_a_group_come_in_mid_run(how, level):
    """A change of the aim is no blow-up: the rate goes on, and follows the new aim."""
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.nn.Parameter(torch.full((10,), 3.0)) for _ in range(2))
    optimizer = torch.optim.SGD([x], lr=0.01)
    form = nalr.torch.NoiseAdaptiveLR(optimizer, max_lr=0.5)
    sign, shown = 1.0, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseWarning)
        for step in range(300):
            if step == 150 and how == "flag":  # the flag and the loss with it: the way is the same
                optimizer.param_groups[0]["maximize"], sign = True, -1.0
            elif step == 150:
                optimizer.add_param_group({"params": [y], "maximize": True})
            optimizer.zero_grad()
            noise = 0.1 * torch.randn(2, 10, generator=generator)
            loss = (sign * 0.5 * x.square() + noise[0] * x).sum() + level
            if len(optimizer.param_groups) > 1:
                loss = loss + (noise[1] * y - 0.5 * y.square()).sum()
            loss.backward()
            optimizer.step()
            form.step(loss)
            shown.append(loss.item())
    reasons = form.history.reason_counts
    at = [s for s, r in enumerate(form.history.to_dict()["reason"]) if r in ("blow-up", "cut", "skip")]
    assert not at, (at, reasons)
    assert x.norm() < 1.0 and form.lr > 1e-3
    if how == "flag":
        np.testing.assert_allclose(form.history.to_numpy()["loss"], shown, rtol=1e-6)
    else:
        assert y.norm() < 1.0
