"""A run of the race that keeps its path and what the controller recorded, for figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.methods.method import Method, OnProblems, Stepper
from nalr_bench.race.methods.ours import Controlled

Array = NDArray[np.float64]
DRAWABLE = 3
"""Paths are kept up to this dimension: nobody draws others, and a network's fills tens of megabytes."""


@dataclass(frozen=True)
class Recorded:
    """A run with more than its result.

    Attributes
    ----------
    result : Result
        The same as without recording.
    path : (T + 1, D) array or None
        Parameters before the first step and after each; None in more than `DRAWABLE` dimensions.
    history : mapping or None
        The columns of the controller's history; None for other methods.
    """

    result: Result
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
        return self

    def step(self, rows: Array, loss: float) -> float:
        """Take a step and keep where it leads."""
        rate = self.stepper.step(rows, loss)
        if self.path is not None:
            self.path.append(self.stepper.judged().copy())
        return rate

    def judged(self) -> Array:
        """Return the parameters that the method would return."""
        return self.stepper.judged()


def record(start: Start) -> Recorded:
    """Make the run and keep its path; the same for the same start."""
    watched = _Watched(start.method)
    result = run(replace(start, method=watched))
    stepper = watched.stepper
    history = stepper.controller.history.to_dict() if isinstance(stepper, Controlled) else None
    path = None if watched.path is None else np.array(watched.path)
    return Recorded(result, path, history)
