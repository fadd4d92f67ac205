"""Runs judged by the average of their iterates, which is what their user would be handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.arrays.iterate_average import IterateAverage
from nalr_bench.race.methods.method import OnProblems, Stepper
from nalr_bench.race.methods.schedules import Scheduled

Array = NDArray[np.float64]


class Averaged:
    """A stepper with `IterateAverage` behind it; the steps are the same with or without."""

    def __init__(self, stepper: Stepper, params: Array) -> None:
        self._stepper = stepper
        self._params = params
        self._average = IterateAverage()

    def step(self, rows: Array, loss: float) -> float:
        """Take a step, and the new parameters into the average."""
        lr = self._stepper.step(rows, loss)
        self._average.update(self._params)
        return lr

    def judged(self) -> Array:
        """Return the average."""
        return self._average.average


@dataclass(frozen=True)
class AveragedSchedule(OnProblems, Scheduled):
    """A schedule that returns the average: a constant rate is what averages were proven for.

    A class of its own, so that the others' results do not depend on `nalr.arrays.iterate_average`.
    """

    @property
    def name(self) -> str:
        """Return the schedule's name, and that it averages."""
        return f"{super().name} averaged"

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run."""
        return Averaged(super().begin(params, base_lr, num_steps), params)
