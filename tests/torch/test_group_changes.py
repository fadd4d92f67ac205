"""Groups that share a rate, stand still, or join in mid-run."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import nalr
import nalr.torch
from tests.torch.training import Training, effective

FORMS = [nalr.torch.NoiseAdaptiveLR, nalr.torch.NoiseAdaptiveOptimizer]


def lines(optimizer_of, steps, change=None, form=nalr.torch.NoiseAdaptiveLR, seed=0, **settings):
    """Fit a line by two layers; return rates used, rates told, the form and the last loss."""
    torch.manual_seed(seed)
    first, last = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = optimizer_of(first, last)
    follower = form(optimizer, **settings)
    used = effective(optimizer)
    told = []
    for step in range(steps):
        if change is not None:
            change(step, optimizer, last)
        inputs = torch.randn(16, 3)
        loss = (last(first(inputs)) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        last.zero_grad()
        loss.backward()
        if follower is not optimizer and isinstance(follower, torch.optim.Optimizer):
            follower.step(loss=loss)
        else:
            optimizer.step()
            follower.step(loss)
        told.append(follower.lr)
    return used, told, follower, float(loss.detach())


@pytest.mark.parametrize("form", FORMS)
def test_groups_that_share_one_tensor_are_multiplied_once(form):
    found = []
    for shared in (True, False):
        rate = torch.tensor(2.0**-10, dtype=torch.float64)
        others = {} if shared else {"lr": rate.clone()}
        used, _, follower, _ = lines(
            lambda a, b, rate=rate, others=others: torch.optim.SGD(
                [{"params": a.parameters()}, {"params": b.parameters(), **others}], lr=rate
            ),
            40,
            form=form,
        )
        groups = follower.engine.optimizer.param_groups
        assert (groups[0]["lr"] is groups[1]["lr"]) is shared
        assert [float(group["lr"]) for group in groups] == [2.0**-10] * 2
        found.append(used)
    assert found[0] == found[1] and len(set(map(tuple, found[0]))) > 10


def freeze_and_add(step, optimizer, last):
    """Fine-tune: a new head, and the backbone frozen by its rate."""
    if step == 5:
        optimizer.param_groups[0]["lr"] = 0.0
        optimizer.add_param_group({"params": list(last.parameters()), "lr": 4e-4})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bounds", [{}, {"max_lr": 1e-3}])
def test_a_head_is_trained_while_the_first_group_stands_still(form, bounds):
    used, told, follower, loss = lines(
        lambda a, b: torch.optim.SGD(a.parameters(), lr=1e-4), 300, freeze_and_add, form, **bounds
    )
    assert all(row[0] == 0.0 for row in used[5:])
    assert [row[1] for row in used[5:]] == pytest.approx(told[5:])
    assert follower.history.to_dict()["lr"][5:] == pytest.approx(told[5:])
    largest = max(row[1] for row in used[5:])
    if bounds:
        assert largest == pytest.approx(1e-3)
    else:
        assert largest > 0.05 and loss < 0.05


def test_a_group_that_waits_at_zero_takes_over():
    def turn(step, optimizer, last):
        if step == 5:
            optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = 0.0, 1e-4

    used, told, follower, loss = lines(
        lambda a, b: torch.optim.SGD(
            [{"params": a.parameters()}, {"params": b.parameters(), "lr": 0.0}], lr=1e-4
        ),
        300,
        turn,
    )
    assert used[-1] == pytest.approx([0.0, told[-1]]) and max(told) > 0.05 and loss < 0.05
    assert follower.history.to_dict()["lr"][5:] == pytest.approx(told[5:])


def test_a_resumed_run_goes_on_where_the_first_group_stood_still():
    """The rates after a save are those of the run that was not interrupted."""

    def build():
        torch.manual_seed(0)
        layers = [torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)]
        return layers, torch.optim.SGD(layers[0].parameters(), lr=1e-4)

    def go(layers, optimizer, scheduler, steps, first):
        used = effective(optimizer)
        for step in range(first, first + steps):
            inputs = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
            loss = (layers[1](layers[0](inputs)) - inputs.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
        return used

    layers, optimizer = build()
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.add_param_group({"params": list(layers[1].parameters()), "lr": 4e-4})
    go(layers, optimizer, scheduler, 20, 0)
    optimizer.param_groups[1]["lr"] = 8e-4
    go(layers, optimizer, scheduler, 5, 20)
    saved = copy.deepcopy(
        ([layer.state_dict() for layer in layers], optimizer.state_dict(), scheduler.state_dict())
    )
    expected = go(layers, optimizer, scheduler, 20, 25)
    layers, optimizer = build()
    optimizer.add_param_group({"params": list(layers[1].parameters()), "lr": 4e-4})
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    for layer, state in zip(layers, saved[0], strict=True):
        layer.load_state_dict(state)
    optimizer.load_state_dict(saved[1])
    scheduler.load_state_dict(saved[2])
    assert go(layers, optimizer, scheduler, 20, 25) == expected and expected[0][1] != expected[-1][1]


@pytest.mark.parametrize(("low", "base"), [(0.1, 1e5), (0.2, 1e5), (0.5, 98.0), (0.5, 107.0)])
def test_a_shortened_first_step_is_not_one_rounding_below_the_lowest_rate(low, base):
    adaptive = nalr.NoiseAdaptiveLR(base_lr=base, min_lr=low)
    share = adaptive.limit_first_step(promise=1e30, loss=1.0)
    assert adaptive.lr == low and share == pytest.approx(low / base)


@pytest.mark.parametrize("form", FORMS)
def test_clipping_is_known_in_the_step_before_which_a_group_was_added(form):
    training = Training(lambda t: torch.optim.SGD(t.model[0].parameters(), lr=0.01))
    follower = form(training.optimizer)
    for step in range(6):
        if step == 4:
            training.optimizer.add_param_group({"params": list(training.model[2].parameters())})
        training.model.zero_grad()
        loss = training.backward(step)
        parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, 1e-3)
        if isinstance(follower, torch.optim.Optimizer):
            follower.step(loss=loss)
        else:
            training.optimizer.step()
            follower.step(loss)
        measurement = follower.engine.measurement
        assert measurement.clipped and measurement.last_factor == pytest.approx(float(norm) / 1e-3, rel=1e-4)


def level(epoch):
    return 1.0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda parts: pickle.loads(pickle.dumps(parts))])
def test_a_copy_of_the_wrapper_beside_a_schedule_makes_its_own_steps(copied):
    model = torch.nn.Linear(3, 1)
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    schedule = torch.optim.lr_scheduler.LambdaLR(wrapper, level)
    twin, stepper, _ = copied((model, wrapper, schedule))
    before = model.weight.detach().clone()
    twin(torch.ones(2, 3)).square().mean().backward()
    stepper.step(loss=1.0)
    assert torch.equal(model.weight, before) and not torch.equal(twin.weight, before)
    assert stepper.engine.steps == 1 and wrapper.engine.steps == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("copies", [False, True])
def test_parameters_that_are_unfrozen_in_mid_run_are_measured(form, copies):
    """The spread of microbatches is that of all parameters, as where none was frozen at the start."""
    found = []
    for frozen in (False, True):
        training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=1e-12))
        training.model[0].requires_grad_(not frozen)
        follower = form(training.optimizer, noise="microbatches", max_lr=1.1e-12)
        if copies:
            training, follower = copy.deepcopy((training, follower))
        training.model[0].requires_grad_(True)
        handle = follower if isinstance(follower, torch.optim.Optimizer) else training.optimizer
        for step in range(10):
            loss = training.backward(step, microbatches=4)
            if handle is follower:
                follower.step(loss=loss)
            else:
                handle.step()
                follower.step(loss)
        found.append((follower.reading().total_variance, follower.engine.measurement.clipped))
    assert found[1] == found[0] and found[0][0] > 0.0 and not found[0][1]
