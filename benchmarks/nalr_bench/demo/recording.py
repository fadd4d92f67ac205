"""A run of the race that keeps its curves, its path and what the controller recorded, for figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.methods.method import Method, OnProblems, Stepper
from nalr_bench.race.methods.ours import Controlled
from nalr_bench.race.problems.entry import Entry

Array = NDArray[np.float64]
POINTS = 100
"""Points of the curves of a run. Those of a result are fewer, and crowd at both ends."""
DRAWABLE = 3
"""Paths are kept up to this dimension: nobody draws others, and a network's fills tens of megabytes."""


@dataclass(frozen=True)
class Recorded:
    """A run with more than its result.

    Attributes
    ----------
    result : Result
        The same as without recording.
    steps : (K,) array
        Steps made before each of the evenly spread points of the curves.
    losses, rates : (K,) array
        Full loss there, and the learning rate of the step before.
    path : (T + 1, D) array or None
        Parameters before the first step and after each; None in more than `DRAWABLE` dimensions.
    history : mapping or None
        The columns of the controller's history; None for other methods.
    """

    result: Result
    steps: NDArray[np.int64]
    losses: Array
    rates: Array
    path: Array | None
    history: Mapping[str, Any] | None


class _Watched(OnProblems):
    """A method whose steps are written down."""

    def __init__(self, method: Method) -> None:
        self.name, self.optimizer, self.needs = method.name, method.optimizer, method.needs
        self.takes_rate, self.tuning_free = method.takes_rate, method.tuning_free
        self._method = method

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run of the method."""
        self.stepper = self._method.begin(params, base_lr, num_steps)
        self.path = [params.copy()] if params.size <= DRAWABLE else None
        self.wanted = set(np.linspace(1, num_steps, POINTS).round().astype(int).tolist())
        self.points: list[tuple[int, Array, float]] = []
        self._made = 0
        return self

    def step(self, rows: Array, loss: float) -> float:
        """Take a step and keep where it leads."""
        rate = self.stepper.step(rows, loss)
        self._made += 1
        if self.path is not None:
            self.path.append(self.stepper.judged().copy())
        if self._made in self.wanted:
            self.points.append((self._made, self.stepper.judged().copy(), rate))
        return rate

    def judged(self) -> Array:
        """Return the parameters that the method would return."""
        return self.stepper.judged()


def record(start: Start) -> Recorded:
    """Make the run and keep its curves and path; the same for the same start."""
    watched = _Watched(start.method)
    result = run(replace(start, method=watched))
    steps, points, rates = zip(*watched.points, strict=True)
    stepper = watched.stepper
    return Recorded(
        result,
        steps=np.array(steps),
        losses=_full_losses(start, points),
        rates=np.array(rates),
        path=None if watched.path is None else np.array(watched.path),
        history=stepper.controller.history.to_dict() if isinstance(stepper, Controlled) else None,
    )


def _full_losses(start: Start, points: Iterable[Array]) -> Array:
    """Return the full loss at each point, inf where arithmetic overflows."""
    assert isinstance(start.entry, Entry)  # or the run would have been refused
    problem = start.entry.make(start.num_steps)
    with np.errstate(all="ignore"):
        losses = np.array([problem.full_loss(point) for point in points])
    return np.where(np.isfinite(losses), losses, math.inf)
