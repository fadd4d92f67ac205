"""A rate cut when the loss stops falling: torch's ReduceLROnPlateau."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.method import OnProblems, Stepper
from nalr_bench.race.methods.movers import MOVERS, Mover
from nalr_bench.race.methods.tensors import require, single_threaded_torch

Array = NDArray[np.float64]

EPOCHS = 100
"""Epochs of a run; after each the scheduler is given the mean of its minibatch losses."""


@dataclass(frozen=True)
class Plateau(OnProblems):
    """An optimizer under ReduceLROnPlateau with its defaults: a tenth of the rate after 10 bad epochs.

    Parameters
    ----------
    optimizer : str
        "sgd", "momentum" or "adamw".
    """

    optimizer: str

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Return both names."""
        return f"{self.optimizer} plateau"

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be installed."""
        return ("torch",)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run."""
        require(self.name, self.needs)
        return _Watching(MOVERS[self.optimizer](params), params, base_lr, max(1, num_steps // EPOCHS))


class _Watching:
    """The scheduler changes the rate of an optimizer that never steps; the mover steps at that rate."""

    def __init__(self, mover: Mover, params: Array, base_lr: float, epoch: int) -> None:
        torch = single_threaded_torch()
        holder = torch.optim.SGD([torch.zeros(1)], lr=base_lr)
        self._group = holder.param_groups[0]
        self._scheduler: Any = torch.optim.lr_scheduler.ReduceLROnPlateau(holder)
        self._mover = mover
        self._params = params
        self._epoch = epoch
        self._losses: list[float] = []

    def step(self, rows: Array, loss: float) -> float:
        lr: float = self._group["lr"]
        self._mover.move(rows, lr)
        self._losses.append(loss)
        if len(self._losses) == self._epoch:
            self._scheduler.step(sum(self._losses) / self._epoch)
            self._losses.clear()
        return lr

    def judged(self) -> Array:
        return self._params
