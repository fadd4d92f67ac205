"""Checkpoints: a run that was stopped and resumed is the run that was not, to the bit."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, same_bits

STEPS, STOP = 300, 137


class Run:
    """A training with ours in one of its forms, saved and loaded as users do."""

    def __init__(self, name: str, form: str, microbatches: int = 1, **settings) -> None:
        self.form, self.microbatches = form, microbatches
        self.training = Training(OPTIMIZERS[name], width=settings.pop("width", 8))
        self.rates: list[float] = []
        self.losses: list[float] = []
        kind = nalr.torch.NoiseAdaptiveLR if form == "scheduler" else nalr.torch.NoiseAdaptiveOptimizer
        self.adaptive = kind(self.training.optimizer, **settings)
        self.training.optimizer.register_step_pre_hook(self.note)

    def note(self, optimizer, args, kwargs) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def steps(self, first: int, last: int) -> Run:
        for step in range(first, last):
            loss = self.training.backward(step, self.microbatches)
            if self.form == "scheduler":
                self.training.optimizer.step()
                self.adaptive.step(loss)
            else:
                self.adaptive.step(loss=loss)
            self.losses.append(loss.item())
        return self

    def saved(self) -> io.BytesIO:
        state = {"model": self.training.model.state_dict(), "ours": self.adaptive.state_dict()}
        if self.form == "scheduler":
            state["optimizer"] = self.training.optimizer.state_dict()
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        return file

    def load(self, file: io.BytesIO) -> Run:
        state = torch.load(file, weights_only=True)
        self.training.model.load_state_dict(state["model"])
        if self.form == "scheduler":
            self.training.optimizer.load_state_dict(state["optimizer"])
        self.adaptive.load_state_dict(state["ours"])
        return self


CASES = {
    "plain": {},
    "rollback": {"rollback": True},
    "rollback on the host": {"rollback": True, "rollback_device": "cpu"},
    "microbatches": {"microbatches": 2, "microbatch_size": 8},
    "sampled coordinates": {"coordinates": 4000, "width": 4000},
    "every third": {"every": 3, "total_steps": STEPS},
}


EACH = [("scheduler", case) for case in CASES] + [("wrapper", "plain"), ("wrapper", "rollback")]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "case"), EACH)
@pytest.mark.parametrize("name", ["adamw", "momentum"])
def test_a_resumed_run_is_the_same_to_the_bit(name, form, case):
    def fresh() -> Run:
        return Run(name, form, **CASES[case])

    steps, stop = (STEPS, STOP) if "width" not in CASES[case] else (60, 31)
    whole = fresh().steps(0, steps)
    first = fresh().steps(0, stop)
    second = fresh().load(first.saved()).steps(stop, steps)
    assert first.rates + second.rates == whole.rates and len(set(whole.rates)) > 10
    assert first.losses + second.losses == whole.losses
    assert same_bits(second.training.everything(), whole.training.everything())
    history, expected = (run.adaptive.history.to_numpy() for run in (second, whole))
    assert all(np.array_equal(history[c], expected[c]) for c in ("step", "loss", "lr", "reason"))
    assert second.adaptive.reading() == whole.adaptive.reading()


@pytest.mark.parametrize("stop", [0, 1, 2])
@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_it_may_stop_at_the_very_start(form, stop):
    whole = Run("adamw", form).steps(0, 20)
    second = Run("adamw", form).load(Run("adamw", form).steps(0, stop).saved()).steps(stop, 20)
    assert second.rates == whole.rates[stop:] and second.losses == whole.losses[stop:]


def test_it_may_stop_between_the_first_step_and_its_loss():
    def fresh() -> tuple[Training, nalr.torch.NoiseAdaptiveLR]:
        training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=1e6))
        return training, nalr.torch.NoiseAdaptiveLR(training.optimizer)

    whole, expected = fresh()
    loss = whole.backward(0)
    whole.optimizer.step()
    state = {"model": whole.model.state_dict(), "ours": expected.state_dict()}
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    second, scheduler = fresh()
    state = torch.load(file, weights_only=True)
    second.model.load_state_dict(state["model"])
    scheduler.load_state_dict(state["ours"])
    for each in (expected, scheduler):
        each.step(loss)
    assert same_bits(whole.everything(), second.everything()) and scheduler.lr == expected.lr < 1e3


def test_a_state_without_our_part_is_the_inner_optimizers():
    plain = Training(OPTIMIZERS["adamw"])
    plain.backward(0)
    plain.optimizer.step()
    run = Run("adamw", "wrapper")
    run.adaptive.load_state_dict(plain.optimizer.state_dict())
    assert same_bits(run.training.everything()[4:], plain.everything()[4:])
    assert run.adaptive.last_decision is None
    again = Training(OPTIMIZERS["adamw"])
    state = run.steps(0, 3).adaptive.state_dict()
    again.optimizer.load_state_dict(state)  # one entry too many does no harm
    assert same_bits(again.everything()[4:], run.training.everything()[4:])


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_a_state_of_other_settings_is_refused_and_changes_nothing(form):
    run = Run("adamw", form).steps(0, 5)
    other = Run("adamw", form, alpha=0.5).steps(0, 5)
    before = repr(run.adaptive.state_dict())
    message = r"saved by NoiseAdaptiveLR with alpha=0.9, got one with alpha=0.5. Also different: smoother"
    with pytest.raises(ValueError, match=message):
        run.adaptive.load_state_dict(other.adaptive.state_dict())
    assert repr(run.adaptive.state_dict()) == before


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_a_finished_run_may_be_made_longer(form):
    first = Run("adamw", form, total_steps=150).steps(0, 150)
    longer = Run("adamw", form, total_steps=300)
    longer.load(first.saved())
    ended = first.adaptive.controller.lr
    rates = [longer.steps(step, step + 1).adaptive.controller.lr for step in range(150, 300)]
    assert ended < 0.1 * first.adaptive.controller.history.to_numpy()["lr"].max()
    assert rates[0] > 4.0 * ended and rates[-1] < 0.2 * max(rates)


def test_a_state_of_other_parameters_is_refused_and_changes_nothing():
    run = Run("adamw", "scheduler").steps(0, 5)
    other = Run("adamw", "scheduler", width=9).steps(0, 5)
    before = repr(run.adaptive.state_dict())
    with pytest.raises(ValueError, match="values for this parameter"):
        run.adaptive.load_state_dict(other.adaptive.state_dict())
    assert repr(run.adaptive.state_dict()) == before


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_nothing_of_ours_is_in_the_optimizer(form):
    run, plain = Run("adamw", form).steps(0, 5), Training(OPTIMIZERS["adamw"])
    plain.backward(0)
    plain.optimizer.step()
    mine, theirs = run.training.optimizer, plain.optimizer
    assert all(isinstance(key, torch.Tensor) for key in mine.state)
    assert [set(s) for s in mine.state.values()] == [set(s) for s in theirs.state.values()]
    marks = {"initial_lr"} if form == "scheduler" else set()  # as every scheduler of torch writes it
    assert [set(g) for g in mine.param_groups] == [set(g) | marks for g in theirs.param_groups]
    assert mine.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]


def test_a_state_is_a_copy():
    run = Run("momentum", "scheduler").steps(0, 5)
    state = run.adaptive.state_dict()
    before = repr(state)
    run.steps(5, 20)
    assert repr(state) == before


def plain_values(tree) -> bool:
    if isinstance(tree, dict):
        return all(type(k) in (str, int) and plain_values(v) for k, v in tree.items())
    if isinstance(tree, (list, tuple)):
        return all(map(plain_values, tree))
    return tree is None or type(tree) in (str, int, float, bool, torch.Tensor)


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_states_hold_numbers_strings_containers_and_tensors_only(form):
    assert plain_values(Run("adamw", form, rollback=True).steps(0, 30).adaptive.state_dict())


def test_accelerate_takes_and_puts_the_state_back_at_once():
    run, expected = Run("adamw", "wrapper"), Run("adamw", "wrapper").steps(0, 30)
    run.adaptive.load_state_dict(run.adaptive.state_dict())
    assert run.adaptive.param_groups is run.training.optimizer.param_groups  # new ones; ours follow
    run.steps(0, 10)
    run.adaptive.load_state_dict(run.adaptive.state_dict())
    run.steps(10, 30)
    assert run.rates == expected.rates and run.losses == expected.losses


def test_aliases_of_groups_taken_before_a_load_would_be_stale():
    """Why rates are looked up at each step: loading makes new groups."""
    run = Run("adamw", "scheduler").steps(0, 2)
    groups = run.training.optimizer.param_groups
    run.training.optimizer.load_state_dict(run.training.optimizer.state_dict())
    assert run.training.optimizer.param_groups is not groups
    run.steps(2, 60)
    assert len(set(run.rates)) > 10 and groups[0]["lr"] == 0.001


def dcp_like(optimizer: torch.optim.Optimizer, parameters) -> None:
    """As torch's distributed checkpoint makes state that is not there: with gradients and rates of zero."""
    for p in parameters:
        p.grad = torch.zeros_like(p)
    rates = [g["lr"] for g in optimizer.param_groups]
    for g in optimizer.param_groups:
        g["lr"] = 0.0
    optimizer.step(closure=None)
    for g, rate in zip(optimizer.param_groups, rates, strict=True):
        g["lr"] = rate
    optimizer.zero_grad(set_to_none=True)


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_steps_that_move_nothing_take_no_part(form):
    run, expected = Run("momentum", form), Run("momentum", form)
    dcp_like(run.training.optimizer, run.training.model.parameters())
    assert run.adaptive.last_decision is None and run.training.optimizer.param_groups[0]["lr"] == 0.01
    run.steps(0, 20), expected.steps(0, 20)
    assert run.rates[1:] == expected.rates and run.losses == expected.losses


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_distributed_checkpoint_reads_and_writes_the_optimizer(form):
    from torch.distributed.checkpoint import state_dict as dcp

    whole = Run("adamw", form).steps(0, 40)
    first = Run("adamw", form).steps(0, 20)
    optimizer = first.training.optimizer
    model_state, optimizer_state = dcp.get_state_dict(first.training.model, optimizer)
    ours = first.adaptive.engine.state_dict()
    second = Run("adamw", form)
    dcp.set_state_dict(
        second.training.model,
        second.training.optimizer,
        model_state_dict=model_state,
        optim_state_dict=optimizer_state,
    )
    second.adaptive.engine.load_state_dict(ours)
    rates = len(second.rates)  # steps that the checkpoint made at zero
    second.steps(20, 40)
    assert second.rates[rates:] == whole.rates[20:] and second.losses == whole.losses[20:]
