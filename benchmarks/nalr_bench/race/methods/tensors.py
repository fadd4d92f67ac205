"""Parameters of the race as tensors: the same memory, one tensor, its gradient beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch.nn import Module

    from nalr_bench.race.methods.method import Training

Array = NDArray[np.float64]


def require(name: str, packages: Iterable[str]) -> None:
    """Raise an ImportError that says what to install if the method `name` lacks one of `packages`."""
    for package in packages:
        if find_spec(package) is None:
            raise ImportError(f'"{name}" needs the package {package}: pip install "nalr[race]".')


def single_threaded_torch() -> Any:
    """Return torch, set to one thread: workers run side by side, and D is small."""
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return torch


class Shared:
    """One tensor over the memory of `params`, with a gradient that is filled from rows.

    Parameters
    ----------
    params : array of shape (D,)
        Float64, contiguous; what changes the tensor changes it.
    """

    def __init__(self, params: Array) -> None:
        torch = single_threaded_torch()
        self._mean = np.zeros_like(params)
        self.tensor: Any = torch.nn.Parameter(torch.from_numpy(params), requires_grad=False)
        self.tensor.grad = torch.from_numpy(self._mean)

    def set_gradient(self, rows: Array) -> None:
        """Make the mean of the rows (B, D) the gradient; some optimizers write into it: do it each step."""
        mean_into(self._mean, rows)

    def module(self) -> Module:
        """Return a module whose one parameter is the tensor."""
        from torch import nn

        return nn.ParameterList([self.tensor])


class OnArray:
    """A training run whose model is one `Shared` tensor, as a stepper; it reports no rate."""

    def __init__(self, training: Training, shared: Shared) -> None:
        self._training = training
        self._shared = shared

    def step(self, rows: Array, loss: float) -> float:
        """Take a step from the mean of the rows."""
        self._shared.set_gradient(rows)
        self._training.step(self._shared.tensor.new_tensor(loss))
        return math.nan

    def judged(self) -> Array:
        """Return a copy of the judged parameters."""
        with self._training.judged() as model:
            (parameter,) = model.parameters()
            judged: Array = parameter.numpy(force=True).copy()
        return judged


def mean_into(mean: Array, rows: Array) -> None:
    """Write the mean of the rows (B, D) into `mean` (D,): `rows.mean(axis=0)` without its overhead."""
    np.add.reduce(rows, 0, out=mean)
    mean /= rows.shape[0]
