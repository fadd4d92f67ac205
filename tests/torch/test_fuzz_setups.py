"""A stateful fuzz: whatever a user's loop does, nalr is torch at another rate, and tells the rate.

`NALR_FUZZ=2000 pytest tests/torch/test_fuzz_setups.py` runs so many examples, drawn anew each time.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from torch import Tensor

from nalr import NoiseWarning
from tests.torch.setups import MODELS, OPTIMIZERS, SCHEDULES, WRECKS, Plan, Setup
from tests.torch.sides import Side
from tests.torch.training import same_bits

EXAMPLES = int(os.environ.get("NALR_FUZZ", "0"))
COPIES = ("deepcopy", "pickle")
WILD = (0.0, -1.0, 1e-30, 1e-8, 1e8, 1e30, math.nan, math.inf)

setups = st.builds(
    Setup,
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    model=st.sampled_from(MODELS),
    form=st.sampled_from(["scheduler", "wrapper"]),
    noise=st.sampled_from(["auto", "samples", "microbatches", "steps"]),
    schedule=st.sampled_from(SCHEDULES),
    scaler=st.booleans(),
    rollback=st.booleans(),
    every=st.sampled_from([1, 1, 1, 3]),
    total_steps=st.sampled_from([None, None, 1, 5, 300]),
    lr=st.sampled_from([1e-6, 1e-3, 0.03, 1.0, 10.0]),
    second=st.sampled_from([None, 0.0, 0.1, 3.0]),
    tensor_rate=st.booleans(),
    bounded=st.booleans(),
    wide=st.booleans(),
    seed=st.integers(0, 3),
).filter(lambda setup: setup.sensible)

plans = st.builds(
    Plan,
    seed=st.integers(0, 1000),
    backwards=st.sampled_from([1, 1, 2, 4]),
    divided=st.booleans(),
    level=st.sampled_from([1.0, 1.0, 1.0, 20.0, 1e-3, -1.0, 1e4, 0.0]),
    offset=st.sampled_from([0.0, 0.0, 100.0, -100.0]),
    wreck=st.sampled_from(["none"] * 8 + list(WRECKS)),
    clip=st.sampled_from([None, None, ("norm", 1.0), ("norm", 1e-6), ("value", 0.1)]),
    closure=st.booleans(),
    loss=st.sampled_from(["right"] * 8 + ["last", None, *WILD]),
    tensor=st.booleans(),
    order=st.booleans(),
)


@contextlib.contextmanager
def strictly() -> Iterator[None]:
    """Every warning is an error, but ours of what cannot be measured and torch's of schedules.

    Torch warns of a first step that a scaler skipped, and of its own schedules beside a copied optimizer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", NoiseWarning)
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        warnings.filterwarnings("ignore", r"Seems like `optimizer.step\(\)` has been overridden")
        yield


def finite(values: list[Tensor]) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in values)


def near(found: list[Tensor], expected: list[Tensor], before: list[Tensor]) -> bool:
    """Whether parameters are where they should be, to the rounding of the step and of themselves."""
    for a, b, x in zip(found, expected, before, strict=True):
        if a.shape != b.shape or not (a.is_floating_point() or torch.equal(a, b)):
            return False
        if a.numel() and not torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)):
            eps = torch.finfo(a.dtype).eps
            largest, step = torch.maximum(a.abs(), b.abs()).max(), (b - x).abs().max()
            if not bool((a - b).abs().max() <= 32 * eps * step + 8 * eps * largest):
                return False
    return True


def on_segment(found: list[Tensor], end: list[Tensor], start: list[Tensor]) -> bool:
    """Whether parameters lie between the start of a step and its end: one share of it for all."""
    kind = next(v.dtype for v in found if v.is_floating_point())
    a, b, x = (torch.cat([v.double().reshape(-1) for v in vs]) for vs in (found, end, start))
    step, made = b - x, a - x
    eps = torch.finfo(kind).eps
    share = float(made @ step / (step @ step)) if float(step @ step) > 0.0 else 0.0
    allowed = 32 * eps * float(torch.stack([a.abs().max(), b.abs().max(), x.abs().max()]).max())
    return -1e-6 <= share <= 1.0 + 1e-4 and float((made - share * step).abs().max()) <= allowed


class Fuzz(RuleBasedStateMachine):
    """One set-up with nalr, and a twin without it that is told the rates."""

    main: Side

    @initialize(setup=setups)
    def begin(self, setup: Setup) -> None:
        self.refs: list[weakref.ref[Any]] = []
        self.unsettled = False  # a first step whose loss has not come
        self.changed = False  # other parameters, or other memory, since the last step that was measured
        with strictly():
            self.main, self.twin = Side(setup, True), Side(setup, False)
        self.watch(self.main)
        self.seen: list[list[Tensor]] = []  # parameters that a step began at
        self.first: list[list[Tensor]] = []  # those that the first step, and the one after it, began at
        self.most_hooks = max(self.main.hooks()[1:], default=0)
        self.step_hooks = self.main.hooks()[0]

    def watch(self, side: Side) -> None:
        parts = (side.model, side.optimizer, side.form, side.form.engine, *side.parameters)
        self.refs += [weakref.ref(part) for part in parts]

    # -- steps --------------------------------------------------------------------------------------

    @rule(plan=plans)
    def step(self, plan: Plan) -> None:
        before = self.main.values()
        self.seen.append(before)
        returns, measured = self.returns(), self.main.form.engine.steps
        recorded = len(self.main.form.history)
        reference = next((i for i, lr in enumerate(self.main.own) if lr > 0.0), None)
        own = self.main.own
        with strictly():
            self.main.step(plan)
            told = self.main.told(own) if reference is not None else own
            first = measured == 0 < self.main.form.engine.steps  # a scaler may have left out those before
            settling = self.unsettled
            self.twin.step(plan, self.at_most(own, reference) if first else told)
        if first or settling:
            self.first.append(before)
        self.unsettled = first
        self.changed &= self.main.form.engine.steps == measured
        found, expected = self.main.values(), self.twin.values()
        if self.returns() > returns:
            known = any(same_bits(found, seen) for seen in self.seen)
            assert known or self.settled_at(found), "rolled back to no earlier state"
            self.twin.take_state(self.main)
        elif first:
            assert not finite(found) or not finite(expected) or on_segment(found, expected, before)
        elif not settling:
            assert near(found, expected, before), (before, found, expected, told, own)
        self.twin.take_values(self.main)
        if reference is not None:
            self.check_rates(own, told, reference)
            if len(self.main.form.history) > recorded and not (first or settling or self.returns() > returns):
                self.check_history(told[reference])

    def check_rates(self, own: list[float], told: list[float], reference: int) -> None:
        controller, setup = self.main.form.controller, self.main.setup
        assert controller.min_lr <= controller.lr * (1 + 1e-12), "below min_lr"
        assert controller.lr <= controller.max_lr, "above max_lr"
        assert all(math.isfinite(t) and (t > 0.0) == (o > 0.0) for o, t in zip(own, told, strict=True)), told
        if setup.bounded and own[reference] >= controller.min_lr:
            assert told[reference] <= controller.max_lr * (1 + 1e-9), "above max_lr"

    def check_history(self, told: float) -> None:
        last = self.main.form.history.to_dict()["lr"][-1]
        assert math.isclose(last, told, rel_tol=1e-9), f"the history shows {last}, told {told}"

    def at_most(self, own: list[float], reference: int | None) -> list[float]:
        """Return the rates of a first step that is not shortened: the user's own, raised to `min_lr`."""
        low = self.main.form.controller.min_lr
        return own if reference is None else [lr * max(low / own[reference], 1.0) for lr in own]

    def settled_at(self, values: list[Tensor]) -> bool:
        """Whether these may be the end of the first step as it was shortened when the second began."""
        if not self.first or any(a.shape != b.shape for a, b in zip(values, self.first[-1], strict=False)):
            return False
        return len(self.first) == 2 and on_segment(values, self.first[1], self.first[0])

    def returns(self) -> int:
        rollback = self.main.form.engine.rollback
        return 0 if rollback is None else rollback.returns

    @rule(plan=plans)
    def throw_a_batch_away(self, plan: Plan) -> None:
        for side in (self.main, self.twin):
            side.handle.zero_grad()
            side.backward(plan)
            side.handle.zero_grad()

    @rule(plan=plans)
    def look(self, plan: Plan) -> None:
        """Validate, and ask for gradients that no step is made from."""
        inputs, targets = self.main.model.batch(plan.seed, 8, self.main.setup.dtype)
        with torch.no_grad():
            self.main.model(inputs)
        loss = torch.nn.functional.mse_loss(self.main.model(inputs), targets)
        torch.autograd.grad(loss, [p for p in self.main.parameters if p.requires_grad], allow_unused=True)
        str(self.main.form.reading()), self.main.form.summary(), repr(self.main.form)

    # -- changes in the run -------------------------------------------------------------------------

    @rule(factor=st.sampled_from([0.0, 0.1, 10.0]))
    def write_rates(self, factor: float) -> None:
        for side in (self.main, self.twin):
            side.multiply_rates(factor)

    @precondition(lambda self: self.main.setup.grows)
    @rule(share=st.sampled_from([1.0, 0.2, 5.0]))
    def add_a_group(self, share: float) -> None:
        for side in (self.main, self.twin):
            side.add_group(share)
        self.changed = True
        self.watch(self.main)

    @rule(which=st.sets(st.integers(0, 5)))
    def freeze(self, which: set[int]) -> None:
        names = [name for name, _ in self.main.model.named_parameters() if name != "body.weight"][1:]
        for side in (self.main, self.twin):
            side.freeze(frozenset(names[i] for i in which if i < len(names)))

    @precondition(lambda self: self.main.setup.model == "mlp")
    @rule(hidden=st.sampled_from([1, 3, 9]))
    def resize(self, hidden: int) -> None:
        for side in (self.main, self.twin):
            side.resize(hidden)
        self.changed = True

    @rule()
    def repair(self) -> None:
        """Write other values into parameters, as after a checkpoint of the model alone."""
        with torch.no_grad():
            for side in (self.main, self.twin):
                generator = torch.Generator().manual_seed(5)
                for p in side.parameters:
                    if p.is_floating_point():
                        p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
                side.optimizer.state.clear()

    @rule()
    def reload_the_optimizer(self) -> None:
        for side in (self.main, self.twin):
            side.optimizer.load_state_dict(side.optimizer.state_dict())

    # -- keeping ------------------------------------------------------------------------------------

    @rule(plan=plans, optimizer_first=st.booleans())
    def resume(self, plan: Plan, optimizer_first: bool) -> None:
        with strictly():
            fresh = self.main.resumed(optimizer_first)
        self.go_on_with(fresh, plan)

    @rule(plan=plans, by=st.sampled_from(COPIES))
    def copy(self, plan: Plan, by: str) -> None:
        """A copy goes on by itself, or is refused in words that say what to do."""
        with strictly():
            try:
                copied = self.main.copied(by)
            except TypeError as error:
                assert "state_dict" in str(error), error
                return
        self.go_on_with(copied, plan)

    def go_on_with(self, other: Side, plan: Plan) -> None:
        """Make the same step with both, and drop the old one.

        A backward of parameters that came since the last step is seen in the new one alone.
        """
        same = not self.changed
        old = self.main
        assert other.own == old.own
        self.watch(other)
        before, own = old.values(), old.own
        with strictly():
            old.step(plan)
        told, expected = old.told(own), old.values()
        with torch.no_grad():
            assert same_bits(before, other.values())
        self.main = other
        del old
        self.step(plan)
        assert not same or same_bits(expected, self.main.values()), (expected, self.main.values())
        assert not same or told == self.main.told(own)

    # -- always -------------------------------------------------------------------------------------

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        if hasattr(self, "main"):
            assert self.main.own == self.twin.own
            assert self.main.hooks()[0] == self.step_hooks
            assert max(self.main.hooks()[1:], default=0) <= self.most_hooks
            if finite(values := self.main.values()):
                assert near(values, self.twin.values(), values)
        super().check_invariants(*args, **kwargs)

    def teardown(self) -> None:
        if not hasattr(self, "main"):
            return
        if self.main.setup.seed % 2:
            self.main.form.detach()
            assert self.main.hooks() == self.twin.hooks()
        del self.main, self.twin
        gc.collect()
        alive = [ref() for ref in self.refs if ref() is not None]
        assert [type(part).__name__ for part in alive] == []


@pytest.mark.slow
def test_a_setup_with_nalr_is_torch_at_the_rates_it_tells():
    Side(Setup(), True).step(Plan())  # loads what torch loads late
    gc.collect()
    gc.freeze()  # what was loaded before takes no part in each example's collection
    try:
        run_state_machine_as_test(
            Fuzz,
            settings=settings(
                max_examples=EXAMPLES or 30,
                stateful_step_count=20,
                deadline=None,
                derandomize=not EXAMPLES,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        gc.unfreeze()
