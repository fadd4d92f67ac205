"""nalr's learning rate in the race, with each optimizer, told the length of the run or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr.controller import NoiseAdaptiveLR
from nalr.policies import NoiseAdaptive, NoiseAdaptiveSettings
from nalr_bench.race.methods.averaged import Averaged
from nalr_bench.race.methods.contender import Stepper
from nalr_bench.race.methods.movers import MOVERS, Mover, needs_of
from nalr_bench.race.methods.tensors import require

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Nalr:
    """`NoiseAdaptiveLR` with its defaults, or with single constants changed to learn what they buy.

    Parameters
    ----------
    optimizer : str
        "sgd", "momentum" or "adamw". The first is run without, the others with `params`.
    horizon : bool
        Whether it is told the number of steps.
    settings : tuple of (str, float or int)
        Fields of `NoiseAdaptiveSettings` that differ from the defaults.
    label : str
        Put behind the name, to tell changed settings apart.
    averaged : bool
        Whether it hands out `IterateAverage` of its iterates; the steps are the same.
    """

    optimizer: str
    horizon: bool = True
    settings: tuple[tuple[str, Any], ...] = ()
    label: str = ""
    averaged: bool = False

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Return the name, as in "nalr sgd anytime"."""
        told, handed = "" if self.horizon else "anytime", "averaged" if self.averaged else ""
        parts = ("nalr", self.optimizer, told, handed, self.label)
        return " ".join(part for part in parts if part)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be there."""
        return needs_of(self.optimizer)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run."""
        require(self.name, self.needs)
        controller = NoiseAdaptiveLR(
            base_lr,
            total_steps=num_steps if self.horizon else None,
            policy=NoiseAdaptive(NoiseAdaptiveSettings(**dict(self.settings))),
        )
        mover = MOVERS[self.optimizer](params)
        run = Controlled(controller, mover, params, sees_params=self.optimizer != "sgd")
        return Averaged(run, params) if self.averaged else run


class Controlled:
    """A controller that sees every minibatch."""

    def __init__(
        self, controller: NoiseAdaptiveLR, mover: Mover, params: Array, *, sees_params: bool
    ) -> None:
        self._controller = controller
        self._mover = mover
        self._params = params
        self._seen = params if sees_params else None

    def step(self, rows: Array, loss: float) -> float:
        """Take a step at the controller's rate."""
        lr = self._controller.get_adapted_lr(rows, loss, self._seen)
        self._mover.move(rows, lr)
        return lr

    def judged(self) -> Array:
        """Return the parameters."""
        return self._params
