"""Groups that are added in mid-run: the copy to return to is renewed, and states are resumed around them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import nalr.torch
from nalr.torch.undo.snapshot import Snapshot


def start(both: bool = False, rollback: bool = False):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model[2].parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, rollback=rollback)
    if both:
        add(model, optimizer)
    return model, optimizer, scheduler


def add(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.add_param_group({"params": list(model[0].parameters())})


def train(run, steps: range, bad: int = -1) -> list[float]:
    model, optimizer, scheduler = run
    rates = []
    for step in steps:
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        model.zero_grad()
        loss.backward()
        if step == bad:
            model[2].bias.grad.fill_(torch.nan)
        optimizer.step()
        scheduler.step(loss)
        rates.append(scheduler.lr)
    return rates


@pytest.mark.parametrize("bad", [105, 107, 125])
def test_a_blow_up_after_a_group_was_added_returns_to_where_it_was(bad):
    run = model, optimizer, scheduler = start(rollback=True)
    train(run, range(105))
    add(model, optimizer)
    train(run, range(105, 140), bad)
    assert scheduler.engine.rollback.returns == 1
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_copy_is_not_renewed_from_parameters_that_are_no_place_to_return_to():
    run = model, optimizer, scheduler = start(rollback=True)
    train(run, range(5))
    add(model, optimizer)
    with torch.no_grad():
        model[0].bias.fill_(torch.nan)
    train(run, range(5, 6))
    assert not scheduler.engine.rollback.snapshot.taken
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.linspace(-0.5, 0.5, parameter.numel()).view(parameter.shape))
    optimizer.state.clear()
    train(run, range(6, 20))
    assert scheduler.engine.rollback.snapshot.taken


def state_of(run):
    return copy.deepcopy((run[0].state_dict(), run[1].state_dict(), run[2].state_dict()))


@pytest.mark.parametrize("rollback", [False, True])
@pytest.mark.parametrize("ours_first", [False, True])
def test_a_state_saved_after_a_group_was_added_goes_on_to_the_bit(ours_first, rollback):
    """Whether the group is there, or is added, before our state is loaded."""
    run = start(rollback=rollback)
    train(run, range(10))
    add(*run[:2])
    train(run, range(10, 20))
    saved = state_of(run)
    again = model, optimizer, scheduler = start(both=not ours_first, rollback=rollback)
    if ours_first:
        scheduler.load_state_dict(saved[2])
        add(model, optimizer)
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    if not ours_first:
        scheduler.load_state_dict(saved[2])
    assert train(again, range(20, 40)) == train(run, range(20, 40))
    assert all(map(torch.equal, model.parameters(), run[0].parameters()))


@pytest.mark.parametrize("rollback", [False, True])
@pytest.mark.parametrize("added_first", [False, True])
def test_a_state_saved_before_a_group_was_added_goes_on_as_if_it_were_added_then(added_first, rollback):
    run = start(rollback=rollback)
    train(run, range(20))
    saved = state_of(run)
    add(*run[:2])
    again = model, optimizer, scheduler = start(rollback=rollback)
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    if not added_first:
        scheduler.load_state_dict(saved[2])
    add(model, optimizer)
    if added_first:
        scheduler.load_state_dict(saved[2])
    assert train(again, range(20, 40), bad=25) == train(run, range(20, 40), bad=25)


@pytest.mark.parametrize("rollback", [False, True])
@pytest.mark.parametrize("more", [False, True])
def test_a_state_saved_again_before_the_next_step_is_still_the_first_one(more, rollback):
    """It holds more parameters than the run that took it has yet, or fewer."""
    run = start(rollback=rollback)
    train(run, range(10))
    saved = state_of(run)
    add(*run[:2])
    if more:
        train(run, range(10, 20))
        saved = state_of(run)
    between = start(both=not more, rollback=rollback)
    between[2].load_state_dict(saved[2])
    again = model, optimizer, scheduler = start(both=not more, rollback=rollback)
    scheduler.load_state_dict(state_of(between)[2])
    if more:
        add(model, optimizer)
    model.load_state_dict(run[0].state_dict())
    optimizer.load_state_dict(state_of(run)[1])
    assert train(again, range(20, 40), bad=30) == train(run, range(20, 40), bad=30)


def test_a_state_with_more_parameters_serves_a_run_that_never_gets_them():
    run = start(both=True)
    train(run, range(20))
    again = start()
    again[2].load_state_dict(state_of(run)[2])
    assert again[2].lr == run[2].lr
    rates = train(again, range(20, 40))
    assert all(0.0 < rate < 1.0 for rate in rates)


def test_a_snapshot_says_whether_it_fits():
    model, optimizer, _ = start()
    snapshot = Snapshot(optimizer)
    assert not snapshot.fits
    snapshot.take()
    assert snapshot.fits
    add(model, optimizer)
    assert not snapshot.fits
    snapshot.forget()
    assert not snapshot.taken and snapshot.nbytes == 0
