"""Whatever else sets rates, each step is made with what that would have set alone, times our factor."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as lrs
from torch.optim.swa_utils import SWALR

import nalr.torch
from nalr._checks import NoiseWarning
from nalr.policies.base import Decision, Reason
from nalr.policies.constant import Constant
from tests.torch.training import Training, effective, two_groups

STEPS = 24
Make = Callable[[torch.optim.Optimizer], Any]


class Stairs(Constant):
    """A rule whose factor is known: it rises and falls from step to step."""

    def decide(self, evidence):
        return Decision(self._base_lr * (1.0 + 0.1 * (7 * evidence.step % 11)), Reason.GROW, {})


def neutral(optimizer: torch.optim.Optimizer) -> Any:
    """A scheduler of torch's that stands where ours does and changes nothing."""
    return lrs.ConstantLR(optimizer, factor=1.0, total_iters=5)


def adapted(optimizer: torch.optim.Optimizer) -> nalr.torch.NoiseAdaptiveLR:
    return nalr.torch.NoiseAdaptiveLR(optimizer, noise="steps", policy=Stairs())


def plateau(o: torch.optim.Optimizer) -> Any:
    schedule = lrs.ReduceLROnPlateau(o, patience=2, threshold=0.5)
    step = schedule.step
    schedule.step = lambda: step(1.0)  # its metric never moves
    return schedule


BESIDE: dict[str, Make] = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, [lambda t: 1.0 / (1 + t), lambda t: 0.9**t]),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda t: 0.97),
    "StepLR": lambda o: lrs.StepLR(o, 3, gamma=0.5),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [4, 9]),
    "LinearLR": lambda o: lrs.LinearLR(o, 0.1, total_iters=9),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 30, power=2.0),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, T_max=20, eta_min=1e-5),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 5, 2),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 1e-3, 1e-2, step_size_up=4),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, max_lr=[0.1, 0.03], total_steps=30),
    "SWALR": lambda o: SWALR(o, swa_lr=5e-4, anneal_epochs=7),
    "ReduceLROnPlateau": plateau,
}


def train(adapt: bool, compose: Callable[[Any, Make], Callable[[], None]]) -> tuple[list[Any], ...]:
    """Return rates between steps and in them, our factors, what get_last_lr said, and the history's rate."""
    training = Training(two_groups)
    scheduler: Any = None

    def ours(optimizer: torch.optim.Optimizer) -> Any:
        nonlocal scheduler
        scheduler = adapted(optimizer) if adapt else neutral(optimizer)
        return scheduler

    advance = compose(training.optimizer, ours)
    seen = effective(training.optimizer)
    between, factors, told = [], [], []
    for step in range(STEPS):
        between.append([group["lr"] for group in training.optimizer.param_groups])
        loss = training.backward(step)
        training.optimizer.step()
        if adapt:
            factors.append(scheduler.engine.factor)
            told.append(scheduler.get_last_lr())
            scheduler.engine.give(loss)  # compositions of torch pass no loss on
        advance()
    shown = scheduler.history.to_dict()["lr"] if adapt else []
    return between, seen, factors, told, shown


def hold(compose: Callable[[Any, Make], Callable[[], None]]) -> None:
    """Hold a composition with ours against the same with a scheduler that changes nothing."""
    alone, _, _, _, _ = train(False, compose)
    between, seen, factors, told, shown = train(True, compose)
    assert len(set(factors)) > 5
    assert between == alone
    expected = [[rate * f for rate in row] for row, f in zip(alone, factors, strict=True)]
    assert seen == expected
    assert told == seen
    assert shown[1:] == pytest.approx([row[0] for row in seen[1:]], rel=1e-12)


def beside(make: Make, first: bool) -> Callable[[Any, Make], Callable[[], None]]:
    def compose(optimizer: Any, ours: Make) -> Callable[[], None]:
        schedulers = [make(optimizer), ours(optimizer)] if first else [ours(optimizer), make(optimizer)]

        def advance() -> None:
            for scheduler in schedulers:
                scheduler.step()

        return advance

    return compose


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", BESIDE)
def test_beside_another_schedule(name, first):
    hold(beside(BESIDE[name], first))


CHAINABLE = [name for name in BESIDE if name != "ReduceLROnPlateau"]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", CHAINABLE)
def test_chained(name, last):
    def compose(o, ours):
        parts = [BESIDE[name](o), ours(o)] if last else [ours(o), BESIDE[name](o)]
        return lrs.ChainedScheduler(parts, optimizer=o).step

    hold(compose)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", [name for name in CHAINABLE if name not in ("OneCycleLR", "SWALR")])
def test_in_sequence(name, last):
    def compose(o, ours):
        parts = [BESIDE[name](o), ours(o)] if last else [ours(o), BESIDE[name](o)]
        return lrs.SequentialLR(o, parts, milestones=[11]).step

    hold(compose)


def test_in_a_sequence_within_a_chain_within_a_sequence():
    def compose(o, ours):
        inner = lrs.SequentialLR(o, [BESIDE["LinearLR"](o), ours(o)], milestones=[8])
        return lrs.ChainedScheduler([inner, BESIDE["StepLR"](o)], optimizer=o).step

    hold(compose)


PARTS = st.sampled_from([name for name in CHAINABLE if name not in ("OneCycleLR", "SWALR")])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(st.tuples(PARTS, st.integers(1, 20)), min_size=1, max_size=4),
    place=st.integers(0, 4),
    beside=st.lists(PARTS, max_size=2),
    chained=st.booleans(),
)
def test_any_sequence_with_anything_beside(parts, place, beside, chained):
    names: list[str | None] = [name for name, _ in parts]
    names.insert(min(place, len(names)), None)  # ours
    milestones = list(itertools.accumulate(length for _, length in parts))

    def compose(o, ours):
        made = [ours(o) if name is None else BESIDE[name](o) for name in names]
        everything = [lrs.SequentialLR(o, made, milestones), *(BESIDE[name](o) for name in beside)]
        if chained:
            return lrs.ChainedScheduler(everything, optimizer=o).step
        return lambda: [each.step() for each in everything]

    hold(compose)


# -- those who write rates themselves -----------------------------------------------------------------


class Handler:
    """Sets rates as pytorch-ignite's `LRScheduler` does: it writes what `get_lr` returns."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def __call__(self) -> None:
        self.scheduler._get_lr_called_within_step = True
        for group, rate in zip(self.scheduler.optimizer.param_groups, self.scheduler.get_lr(), strict=True):
            group["lr"] = rate
        self.scheduler._get_lr_called_within_step = False
        self.scheduler.last_epoch += 1


def test_a_handler_that_writes_get_lr():
    hold(lambda o, ours: Handler(ours(o)))


@pytest.mark.parametrize("shown", ["get_last_lr", "lr"])
def test_a_loop_that_writes_the_rate_that_it_was_shown(shown):
    def compose(o, ours):
        scheduler = ours(o)
        initial = [group["lr"] for group in o.param_groups]

        def advance():
            scheduler.step()
            if not isinstance(scheduler, nalr.torch.NoiseAdaptiveLR):
                rates = initial  # what was in use alone
            elif shown == "lr":
                rates = [scheduler.lr]
            else:
                rates = scheduler.get_last_lr()
            for group, rate in zip(o.param_groups, rates, strict=False):
                group["lr"] = rate

        return advance

    _, alone, _, _, _ = train(False, compose)
    _, seen, factors, _, _ = train(True, compose)
    assert len(set(factors)) > 5
    assert seen == [[rate * f for rate in row] for row, f in zip(alone, factors, strict=True)]


@pytest.mark.parametrize("relative", [True, False])
def test_a_loop_that_writes_rates_of_its_own(relative):
    def compose(o, ours):
        scheduler, count = ours(o), iter(range(1, 100))

        def advance():
            scheduler.step()
            t = next(count)
            for group in o.param_groups:
                group["lr"] = 0.97 * group["lr"] if relative else 0.02 * min(1.0, t / 10)

        return advance

    hold(compose)


@pytest.mark.parametrize("before", [True, False])
def test_a_loaded_state_of_the_optimizer(before):
    """Loaded before or after our construction, its rates are the user's, and nothing is multiplied twice."""
    saved: list[Any] = []

    def compose(o, ours):
        if not saved:
            other = Training(two_groups).optimizer
            for group, rate in zip(other.param_groups, (0.02, 0.006), strict=True):
                group["lr"] = group["initial_lr"] = rate
            saved.append(other.state_dict())
        if before:
            o.load_state_dict(copy.deepcopy(saved[0]))
        scheduler = ours(o)
        if not before:
            o.load_state_dict(copy.deepcopy(saved[0]))
        return scheduler.step

    hold(compose)


def test_saved_rates_are_the_users_also_after_many_resumptions():
    training = Training(two_groups)
    for _ in range(4):
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        training.run(5, scheduler)
        state = copy.deepcopy(training.optimizer.state_dict())
        scheduler.detach()
        training = Training(two_groups)
        training.optimizer.load_state_dict(state)
        assert [group["lr"] for group in training.optimizer.param_groups] == [0.01, 0.003]


@pytest.mark.parametrize("kind", ["before", "after", "pre"])
def test_a_schedule_that_a_hook_of_the_optimizer_advances(kind):
    def compose(o, ours):
        schedule = lrs.StepLR(o, 3, gamma=0.5)
        hook = torch.no_grad()(lambda *_: schedule.step())
        if kind == "pre":
            o.register_step_pre_hook(hook)
        if kind == "before":
            o.register_step_post_hook(hook)
        scheduler = ours(o)
        if kind == "after":
            o.register_step_post_hook(hook)
        return scheduler.step

    _, alone, _, _, _ = train(False, compose)
    _, seen, factors, _, _ = train(True, compose)
    assert len({row[0] for row in alone}) > 5
    assert seen == [[rate * f for rate in row] for row, f in zip(alone, factors, strict=True)]


def test_a_rate_written_within_a_step_is_dropped_with_one_warning():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)

    def halve(optimizer, args, kwargs):
        for group in optimizer.param_groups:
            group["lr"] *= 0.5

    training.run(1, scheduler)
    training.optimizer.register_step_pre_hook(halve)
    with pytest.warns(
        NoiseWarning, match="A learning rate was written while the optimizer's step was"
    ) as seen:
        training.run(5, scheduler, first=1)
    assert len([w for w in seen if "written while" in str(w.message)]) == 1
    assert [group["lr"] for group in training.optimizer.param_groups] == [0.01, 0.003]
