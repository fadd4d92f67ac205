"""AdaScale: a schedule sped up by how much a batch gains over half of it (Johnson et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.method import Diverged, OnProblems, Stepper
from nalr_bench.race.methods.schedules import factors
from nalr_bench.race.methods.tensors import require, single_threaded_torch

Array = NDArray[np.float64]

PARTS = 2
"""Gradients a step, each of half the batch: the fewest that show their noise."""


@dataclass(frozen=True)
class AdaScale(OnProblems):
    """fairscale's AdaScale around torch's SGD, over a linear schedule: the rate gets up to twice the base.

    A step of one row cannot be halved and gets the schedule's rate. The schedule counts steps, not the sum
    of the gains as in the paper, since that sum at the end of a run is not known before.
    """

    optimizer: str = "sgd"
    shape: str = "linear"

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Return the name."""
        return f"{self.optimizer} adascale"

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be installed."""
        return ("torch", "fairscale")

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run."""
        require(self.name, self.needs)
        return _InHalves(params, [base_lr * factor for factor in factors(self.shape, num_steps)])


class _InHalves:
    """Two backward passes a step, since the package hooks them: each of a product with a given gradient."""

    def __init__(self, params: Array, rates: list[float]) -> None:
        from fairscale.optim import AdaScale as Scaler

        self._torch = single_threaded_torch()
        self._params = params
        self._rates = iter(rates)
        self._tensor: Any = self._torch.from_numpy(params).requires_grad_()
        self._inner: Any = self._torch.optim.SGD([self._tensor], lr=rates[0], foreach=False)
        self._scaler: Any = Scaler(self._inner, num_gradients_to_accumulate=PARTS)

    def step(self, rows: Array, loss: float) -> float:
        lr = next(self._rates)
        if len(rows) < PARTS:
            self._params -= lr * rows.mean(axis=0)
            return lr
        self._inner.param_groups[0]["lr"] = lr
        self._inner.zero_grad()
        middle = len(rows) // PARTS
        try:
            for half in (rows[:middle], rows[middle:]):
                # shares of the whole, so that the halves add up to the mean even where one is larger
                gradient = self._torch.from_numpy(half.sum(axis=0) / len(rows))
                self._torch.dot(self._tensor, gradient).backward()
            gain = float(self._scaler.gain())
            self._scaler.step()
        except (ArithmeticError, AssertionError, ValueError) as error:
            raise Diverged(f"AdaScale gave up: {error!r}.") from error
        return lr * gain

    def judged(self) -> Array:
        return self._params
