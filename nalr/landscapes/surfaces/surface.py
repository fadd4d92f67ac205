"""The contract of a noise-free loss surface.

`value`, `gradient` and `smoothed` take points with any leading axes, (..., D). Nothing is checked in a
surface but its settings: points are checked in `landscapes/landscape.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Surface(ABC):
    """A smooth function of D parameters with a known global minimum."""

    def __init__(self, dim: int, start: Array, optimum: Array) -> None:
        self.dim = dim
        self.start = start  # (D,) a customary starting point
        self.optimum = optimum  # (D,) a global minimiser

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return the loss (...) at `x` (..., D)."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return the gradient (..., D) at `x` (..., D)."""

    @abstractmethod
    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the Hessian at `x` (D,) times `v` (D,)."""

    @abstractmethod
    def smoothed(self, x: Array, width: float) -> Array:
        """Return E f(x + width·z), z standard normal: the value under a Gaussian window."""

    def advance(self, rng: np.random.Generator) -> None:  # noqa: B027  a fixed surface does nothing
        """Advance by one step of time."""

    def restart(self) -> None:  # noqa: B027
        """Go back to time zero."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `advance` changes, in plain Python types."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore a state of `state_dict`."""
