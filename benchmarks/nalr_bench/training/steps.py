"""Training steps without and with nalr, and the check that they are the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nalr_bench.training.run import RATE, Run, Setup
from nalr_bench.training.study import Step
from nalr_bench.workload import WrongAnswer

if TYPE_CHECKING:
    from torch import Tensor

Gradients = Callable[[Run], "Tensor"]
"""Computes the gradients of a batch and returns its loss."""

HELD: dict[str, Any] = {"min_lr": RATE, "max_lr": RATE}
"""Settings that hold our factor at 1, so that steps equal the plain ones."""

CHECKED = 3
"""Steps to compare: more than the first two, which take other branches."""

TOLERANCE = 1e-3
"""Relative to the distance travelled; AdamW amplifies rounding of small gradients."""


def once(run: Run) -> Tensor:
    """Do one backward."""
    inputs, targets = next(run.batches)
    loss = run.criterion(run.model(inputs), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def twice(run: Run) -> Tensor:
    """Do a backward for each half of a batch."""
    inputs, targets = next(run.batches)
    losses = []
    for half, wanted in zip(inputs.chunk(2), targets.chunk(2), strict=True):
        loss = run.criterion(run.model(half), wanted) / 2.0
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return losses[0] + losses[1]


def plain(run: Run, gradients: Gradients = once) -> Step:
    """Return the step without nalr."""

    def step() -> None:
        run.optimizer.zero_grad()
        gradients(run)
        run.optimizer.step()

    return step


def scheduled(run: Run, gradients: Gradients = once, source: str = "steps", **settings: Any) -> Step:
    """Return the step with our scheduler; raise `WrongAnswer` unless its noise comes from `source`."""
    from nalr.torch import NoiseAdaptiveLR

    scheduler = NoiseAdaptiveLR(run.optimizer, **settings)

    def step() -> None:
        run.optimizer.zero_grad()
        loss = gradients(run)
        run.optimizer.step()
        scheduler.step(loss)

    for _ in range(CHECKED):
        step()
    if scheduler.reading().source != source:
        raise WrongAnswer(f"noise comes from {scheduler.reading().source}, not from {source}")
    return step


def wrapped(run: Run, **settings: Any) -> Step:
    """Return the step with our optimizer wrapped around the run's."""
    from nalr.torch import NoiseAdaptiveOptimizer

    optimizer = NoiseAdaptiveOptimizer(run.optimizer, **settings)

    def step() -> None:
        optimizer.zero_grad()
        loss = once(run)
        optimizer.step(loss=loss)

    for _ in range(CHECKED):
        step()
    return step


def ours(setup: Setup, make: Callable[..., Step], by_sample: bool = False, **settings: Any) -> Step:
    """Return our step, after a check that with a factor of 1 the parameters equal the plain ones.

    With `by_sample` it gets the model, for norms of samples.
    """
    held, run = setup.fresh(), setup.fresh()
    make(held, **settings, **({"model": held.model} if by_sample else {}), **HELD)
    same_way(setup, held, CHECKED, settings.get("gradients", once))
    return make(run, **settings, **({"model": run.model} if by_sample else {}))


def same_way(setup: Setup, run: Run, num_steps: int, gradients: Gradients = once) -> None:
    """Raise `WrongAnswer` unless `run` is where `num_steps` plain steps lead."""
    start, expected = setup.fresh(), setup.fresh()
    step = plain(expected, gradients)
    for _ in range(num_steps):
        step()
    way, error = distance(start, expected), distance(expected, run)
    if not error <= TOLERANCE * way:
        raise WrongAnswer(f"parameters are off by {error:g} after a distance of {way:g}")


def distance(first: Run, second: Run) -> float:
    """Return the distance between the parameters of two runs."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return math.sqrt(sum(float((a.detach() - b.detach()).square().sum()) for a, b in pairs))
