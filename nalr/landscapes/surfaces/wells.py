"""Two wells in every coordinate, one lower than the other."""

from __future__ import annotations

import math

import numpy as np

from nalr import _checks
from nalr.landscapes.surfaces.surface import Array, Surface


class DoubleWell(Surface):
    """Σ ¼ (x_j² − 1)² + t x_j: two wells in every coordinate, the one near −1 lower by about 2t.

    `tilt` t is in (0, 2/√27): at 0 the wells are equal and the optimum is not unique, from 2/√27 ≈ 0.3849
    on there is no upper well.
    """

    def __init__(self, dim: int, *, tilt: float = 0.1) -> None:
        self.tilt = _checks.real("tilt", tilt, "in (0, 2/√27)", 0.0, 2.0 / math.sqrt(27.0), closed="neither")
        super().__init__(dim, np.full(dim, 1.5), np.full(dim, _lower_well(self.tilt)))

    def value(self, x: Array) -> Array:
        """Return wells plus tilt."""
        return np.asarray((0.25 * (x**2 - 1.0) ** 2 + self.tilt * x).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return x³ − x + t."""
        return (x**2 - 1.0) * x + self.tilt

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return (3x² − 1) v."""
        return (3.0 * x**2 - 1.0) * v

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value plus the terms of the window's second and fourth moments."""
        square = width**2
        added = 0.5 * square * (3.0 * x**2 - 1.0) + 0.75 * square**2
        return np.asarray(self.value(x) + added.sum(axis=-1))


def _lower_well(tilt: float) -> float:
    """Return the lowest root of x³ − x + tilt by Newton's method, monotone from −1.2 on."""
    x = -1.2
    for _ in range(20):
        x -= (x**3 - x + tilt) / (3.0 * x**2 - 1.0)
    return x
