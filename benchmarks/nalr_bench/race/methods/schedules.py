"""Learning rates fixed before the run: what users tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.method import Kind, Stepper, Training
from nalr_bench.race.methods.movers import MOVERS, Mover, kinds_of, needs_of
from nalr_bench.race.methods.tensors import require
from nalr_bench.race.methods.training import PlannedTraining, torch_optimizer

if TYPE_CHECKING:
    from torch.nn import Module

Array = NDArray[np.float64]

SHAPES = ("constant", "cosine", "linear")
WARM_UP = 0.05
"""Share of the steps over which the rate of momentum and AdamW rises to the base rate, unless constant."""


def usual_warm_up(optimizer: str, shape: str) -> float:
    """Return the share of the steps that warm up: none for plain SGD, nor for constant rates."""
    return 0.0 if optimizer == "sgd" or shape == "constant" else WARM_UP


def factors(shape: str, num_steps: int, warm_up: float = 0.0) -> list[float]:
    """Return the rate of each step over the base rate.

    Parameters
    ----------
    shape : str
        "constant", "cosine" or "linear"; the latter two would reach 0 one step after the last.
    num_steps : int
        Length of the run.
    warm_up : float
        Share of the steps, [0, 1), in which the rate rises in a straight line; the shape has the others.

    Examples
    --------
    >>> factors("linear", 4)
    [1.0, 0.75, 0.5, 0.25]
    >>> factors("linear", 4, warm_up=0.5)
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = round(warm_up * num_steps)
    rest = num_steps - rising
    done = np.arange(rest) / rest
    falling = {
        "constant": np.ones(rest),
        "cosine": 0.5 * (1.0 + np.cos(np.pi * done)),
        "linear": 1.0 - done,
    }[shape]
    return [*(np.arange(1, rising + 1) / max(rising, 1)).tolist(), *falling.tolist()]


@dataclass(frozen=True)
class Scheduled:
    """An optimizer under a schedule.

    Parameters
    ----------
    optimizer : str
        "sgd", "momentum" or "adamw".
    shape : str
        See `factors`.
    """

    optimizer: str
    shape: str

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = False
    microbatches: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """Return both names."""
        return f"{self.optimizer} {self.shape}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be installed."""
        return needs_of(self.optimizer)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Return what it races on."""
        return kinds_of(self.optimizer)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run on a problem."""
        require(self.name, self.needs)
        return _Planned(MOVERS[self.optimizer](params), params, self._rates(base_lr, num_steps))

    def begin_training(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run on a task."""
        optimizer = torch_optimizer(self.optimizer, model, base_lr)
        return PlannedTraining(model, optimizer, self._rates(base_lr, num_steps))

    def _rates(self, base_lr: float, num_steps: int) -> list[float]:
        warm_up = usual_warm_up(self.optimizer, self.shape)
        return [base_lr * factor for factor in factors(self.shape, num_steps, warm_up)]


class _Planned:
    """Rates known in advance, used one by one."""

    def __init__(self, mover: Mover, params: Array, rates: list[float]) -> None:
        self._mover = mover
        self._params = params
        self._rates = iter(rates)

    def step(self, rows: Array, loss: float) -> float:
        lr = next(self._rates)
        self._mover.move(rows, lr)
        return lr

    def judged(self) -> Array:
        return self._params
