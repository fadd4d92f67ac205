"""The three optimizers of the problems, given their learning rate at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.method import PROBLEM, TASK, Kind
from nalr_bench.race.methods.tensors import Shared, mean_into, single_threaded_torch
from nalr_bench.race.problems.entry import MOMENTUM

Array = NDArray[np.float64]


class Mover(Protocol):
    """An optimizer at work on one array of parameters."""

    def move(self, rows: Array, lr: float) -> None:
        """Change the parameters in place by a step at rate `lr` along the mean of the rows (B, D)."""


class PlainSGD:
    """x ← x − lr · mean of the rows, in NumPy: torch would double the time of a step."""

    def __init__(self, params: Array) -> None:
        self._params = params
        self._mean = np.zeros_like(params)

    def move(self, rows: Array, lr: float) -> None:
        """Step."""
        mean_into(self._mean, rows)
        self._mean *= lr
        self._params -= self._mean


# The functions are those that torch.optim.SGD and AdamW call, and the numbers the same bit for bit (a test
# compares); without the classes' hooks and profiler marks a step takes 7 µs instead of 20, 23 instead of 40.


class MomentumSGD:
    """torch's SGD with momentum .9."""

    def __init__(self, params: Array) -> None:
        from torch.optim.sgd import sgd

        self._shared = Shared(params)
        self._function = sgd
        self._params = [self._shared.tensor]
        self._gradients = [self._shared.tensor.grad]
        self._buffers = [None]  # filled by the first step

    def move(self, rows: Array, lr: float) -> None:
        """Step."""
        self._shared.set_gradient(rows)
        self._function(
            self._params,
            self._gradients,
            self._buffers,  # type: ignore[arg-type]
            foreach=False,
            weight_decay=0.0,
            momentum=MOMENTUM,
            lr=lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


class AdamW:
    """torch's AdamW, its defaults but for the weight decay, which is 0."""

    def __init__(self, params: Array) -> None:
        from torch.optim.adamw import adamw

        torch = single_threaded_torch()
        self._function = adamw
        self._shared = Shared(params)
        self._params = [self._shared.tensor]
        self._gradients = [self._shared.tensor.grad]
        self._means = [torch.zeros_like(self._shared.tensor)]
        self._squares = [torch.zeros_like(self._shared.tensor)]
        self._steps = [torch.tensor(0.0)]

    def move(self, rows: Array, lr: float) -> None:
        """Step."""
        self._shared.set_gradient(rows)
        self._function(
            self._params,
            self._gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            foreach=False,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=lr,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


MOVERS: dict[str, Callable[[Array], Mover]] = {"sgd": PlainSGD, "momentum": MomentumSGD, "adamw": AdamW}
"""By the names in `nalr_bench.race.problems.entry.OPTIMIZERS`."""


def needs_of(optimizer: str) -> tuple[str, ...]:
    """Return the packages that a mover needs, as imported."""
    return () if optimizer == "sgd" else ("torch",)


def kinds_of(optimizer: str) -> tuple[Kind, ...]:
    """Return what a method around this optimizer races on: networks are trained by the other two."""
    return (PROBLEM,) if optimizer == "sgd" else (PROBLEM, TASK)
