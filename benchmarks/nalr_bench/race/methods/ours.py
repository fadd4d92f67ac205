"""nalr's learning rate in the race, with each optimizer, told the length of the run or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr.controller import NoiseAdaptiveLR
from nalr.policies import NoiseAdaptive, NoiseAdaptiveSettings
from nalr_bench.race.methods.averaged import Averaged
from nalr_bench.race.methods.method import PROBLEM, TASK, Kind, Stepper, Training
from nalr_bench.race.methods.movers import MOVERS, Mover, kinds_of, needs_of
from nalr_bench.race.methods.tensors import require
from nalr_bench.race.methods.training import PlannedTraining, torch_optimizer

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Nalr:
    """`NoiseAdaptiveLR` with its defaults, or with single constants changed to learn what they are worth.

    Parameters
    ----------
    optimizer : str
        "sgd", "momentum" or "adamw". On problems the first is run without `params`, the others with them.
    horizon : bool
        Whether it is told the number of steps.
    settings : tuple of (str, float or int)
        Fields of `NoiseAdaptiveSettings` that differ from the defaults.
    label : str
        Appended to the name; distinguishes changed settings.
    averaged : bool
        Whether it is judged by `IterateAverage` of its iterates; the steps are the same. On problems alone.
    microbatches : int
        Backward passes a step of a task: from two on, noise is measured between them, else from step to step.
    """

    optimizer: str
    horizon: bool = True
    settings: tuple[tuple[str, Any], ...] = ()
    label: str = ""
    averaged: bool = False
    microbatches: int = 1

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Return the name, as in "nalr sgd anytime"."""
        parts = {
            "nalr": True,
            self.optimizer: True,
            "anytime": not self.horizon,
            "microbatches": self.microbatches > 1,
            "averaged": self.averaged,
            self.label: bool(self.label),
        }
        return " ".join(part for part, said in parts.items() if said)

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be installed."""
        return needs_of(self.optimizer)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Return what it races on: averages on problems, microbatches in tasks."""
        if self.averaged:
            return (PROBLEM,)
        return (TASK,) if self.microbatches > 1 else kinds_of(self.optimizer)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run on a problem."""
        require(self.name, self.needs)
        controller = NoiseAdaptiveLR(base_lr, total_steps=self._told(num_steps), policy=self._policy())
        mover = MOVERS[self.optimizer](params)
        run = Controlled(controller, mover, params, sees_params=self.optimizer != "sgd")
        return Averaged(run, params) if self.averaged else run

    def begin_training(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run on a task, with the scheduler of `nalr.torch`."""
        from nalr.torch import NoiseAdaptiveLR as Scheduler

        optimizer = torch_optimizer(self.optimizer, model, base_lr)
        scheduler = Scheduler(optimizer, total_steps=self._told(num_steps), policy=self._policy())
        return _ScheduledTraining(model, optimizer, scheduler)

    def _told(self, num_steps: int) -> int | None:
        return num_steps if self.horizon else None

    def _policy(self) -> NoiseAdaptive:
        return NoiseAdaptive(NoiseAdaptiveSettings(**dict(self.settings)))


class Controlled:
    """A controller that sees every minibatch."""

    def __init__(
        self, controller: NoiseAdaptiveLR, mover: Mover, params: Array, *, sees_params: bool
    ) -> None:
        self.controller = controller
        self._mover = mover
        self._params = params
        self._seen = params if sees_params else None

    def step(self, rows: Array, loss: float) -> float:
        """Take a step at the controller's rate."""
        lr = self.controller.get_adapted_lr(rows, loss, self._seen)
        self._mover.move(rows, lr)
        return lr

    def judged(self) -> Array:
        """Return the parameters."""
        return self._params


class _ScheduledTraining(PlannedTraining):
    """The rate comes from a scheduler that is given the loss after each step."""

    def __init__(self, model: Module, optimizer: Any, scheduler: Any) -> None:
        super().__init__(model, optimizer)
        self._scheduler = scheduler

    def step(self, loss: Tensor) -> float:
        """Take a step of both."""
        self._optimizer.step()
        self._scheduler.step(loss)
        return float(self._scheduler.lr)
