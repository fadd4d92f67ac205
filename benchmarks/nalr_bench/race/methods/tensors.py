"""Parameters of the race as tensors: the same memory, one tensor, its gradient beside it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def require(name: str, packages: Iterable[str]) -> None:
    """Raise an ImportError that says what to install if the contender `name` lacks one of `packages`."""
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
        self.tensor: Any = torch.from_numpy(params)
        self.tensor.grad = torch.from_numpy(self._mean)

    def set_gradient(self, rows: Array) -> None:
        """Make the mean of the rows (B, D) the gradient; some optimizers write into it: do it each step."""
        mean_into(self._mean, rows)


def mean_into(mean: Array, rows: Array) -> None:
    """Write the mean of the rows (B, D) into `mean` (D,): `rows.mean(axis=0)` without its overhead."""
    np.add.reduce(rows, 0, out=mean)
    mean /= rows.shape[0]
