"""Runs judged by the average of their iterates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.arrays.iterate_average import IterateAverage
from nalr_bench.race.methods.method import OnProblems, Stepper
from nalr_bench.race.methods.schedules import Scheduled

Array = NDArray[np.float64]


class Averaged:
    """A stepper whose parameters are averaged by `IterateAverage`; its steps do not change."""

    def __init__(self, stepper: Stepper, params: Array) -> None:
        self._stepper = stepper
        self._params = params
        self._average = IterateAverage()

    def step(self, rows: Array, loss: float) -> float:
        """Take a step and average the new parameters."""
        lr = self._stepper.step(rows, loss)
        self._average.update(self._params)
        return lr

    def judged(self) -> Array:
        """Return the average."""
        return self._average.average


@dataclass(frozen=True)
class AveragedSchedule(OnProblems, Scheduled):
    """A schedule judged by the average, for which theory asks a constant rate.

    A class of its own, so that the others' results do not depend on `nalr.arrays.iterate_average`.
    """

    @property
    def name(self) -> str:
        """Return the schedule's name with "averaged"."""
        return f"{super().name} averaged"

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run."""
        return Averaged(super().begin(params, base_lr, num_steps), params)
