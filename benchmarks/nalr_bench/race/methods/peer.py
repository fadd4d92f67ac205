"""What the peers have in common: torch optimizers of other packages, that find their own rate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.contender import Diverged, Stepper
from nalr_bench.race.methods.schedules import factors, usual_warm_up
from nalr_bench.race.methods.tensors import Shared, require

Array = NDArray[np.float64]

REFUSALS = (ArithmeticError, AssertionError, ValueError)
"""What peers raise on values that are not finite, or that divide by a norm of zero."""


@dataclass(frozen=True)
class Peer(ABC):
    """A method from its own package, its defaults but for what its authors advise; no weight decay.

    Parameters
    ----------
    optimizer : str
        Which family it is compared in.
    shape : str
        The schedule of its rate's multiplier: see `nalr_bench.race.methods.schedules.factors`.
    """

    optimizer: str
    shape: str = "constant"

    takes_rate: ClassVar[bool] = False
    tuning_free: ClassVar[bool] = True
    package: ClassVar[str]
    title: ClassVar[str]

    @property
    def name(self) -> str:
        """Return title, optimizer and schedule, if there is one."""
        return " ".join([self.title, self.optimizer, *([] if self.shape == "constant" else [self.shape])])

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be there, as imported."""
        return ("torch", self.package)

    @property
    def warm_up(self) -> float:
        """Return the share of the steps that warm up: as in the tuned schedules of its family."""
        return usual_warm_up(self.optimizer, self.shape)

    @abstractmethod
    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the torch optimizer of the tensor `parameter`."""

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run; the base rate is not used."""
        require(self.name, self.needs)
        shared = Shared(params)
        run = self.stepping(self.make(shared.tensor, num_steps), shared, params)
        if self.shape != "constant":
            run.follow(factors(self.shape, num_steps, self.warm_up))
        return run

    def stepping(self, optimizer: Any, shared: Shared, params: Array) -> Stepping:
        """Return how the optimizer is stepped."""
        return Stepping(optimizer, shared, params)


class Stepping:
    """A torch optimizer at work on shared memory."""

    def __init__(self, optimizer: Any, shared: Shared, params: Array) -> None:
        self._optimizer = optimizer
        self._shared = shared
        self._params = params
        self._rates: Iterator[float] = iter(())  # none: the rate stays as it is

    def follow(self, multipliers: list[float]) -> None:
        """Multiply the optimizer's rate by these, step by step."""
        peak = self._optimizer.param_groups[0]["lr"]
        self._rates = iter([peak * multiplier for multiplier in multipliers])

    def step(self, rows: Array, loss: float) -> float:
        """Take a step."""
        self._shared.set_gradient(rows)
        for rate in self._rates:
            self._optimizer.param_groups[0]["lr"] = rate
            break
        try:
            self._advance(loss)
        except REFUSALS as error:
            raise Diverged(f"{type(self._optimizer).__name__} gave up: {error!r}.") from error
        return math.nan

    def _advance(self, loss: float) -> None:
        self._optimizer.step()

    def judged(self) -> Array:
        """Return the parameters."""
        return self._params
