"""Random rows that all workloads share, and the float64 truth about them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PERIOD = 4_000_037
"""Values after which the random numbers repeat: drawing 4·10⁸ of them would take longer than measuring. Not
a divisor of any size, so that rows differ."""

WINDOW = 1 << 21
"""Values that the truth converts to float64 at a time."""


class Pool:
    """One float32 array of normal numbers, of which workloads take views; made anew where it is too short."""

    def __init__(self) -> None:
        self._values: Array = np.empty(0, np.float32)
        self._truths: dict[tuple[int, int], tuple[float, float]] = {}

    def values(self, size: int) -> Array:
        """Return the first `size` values: the same ones, however many have been asked for."""
        if self._values.size < size:
            self._values = np.empty(
                0, np.float32
            )  # let go of it first: two may be more than there is room for
            block = np.random.default_rng(0).standard_normal(PERIOD, dtype=np.float32)
            self._values = np.resize(block, size) if size > PERIOD else block
        return self._values[:size]

    def rows(self, count: int, dimension: int) -> Array:
        """Return (`count`, `dimension`) rows."""
        return self.values(count * dimension).reshape(count, dimension)

    def truth(self, count: int, dimension: int) -> tuple[float, float]:
        """Return the truth about `rows`, computed once."""
        key = count, dimension
        if key not in self._truths:
            self._truths[key] = truth(self.rows(count, dimension))
        return self._truths[key]


def truth(rows: Array) -> tuple[float, float]:
    """Return (tr Σ, |ḡ|²) of rows (B, D) by NumPy in float64, some columns at a time."""
    width = max(1, WINDOW // rows.shape[0])
    variance = norm = 0.0
    for start in range(0, rows.shape[1], width):
        window = rows[:, start : start + width].astype(np.float64)
        mean = window.mean(axis=0)
        norm += float(mean @ mean)
        variance += float(window.var(axis=0, ddof=1).sum())
    return variance, norm
