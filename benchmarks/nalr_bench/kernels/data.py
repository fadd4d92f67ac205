"""Random rows shared by all workloads, and their exact moments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PERIOD = 4_000_037
"""Period of the random numbers, since drawing 4·10⁸ would take longer than measuring. It divides no size, so
that rows differ."""

WINDOW = 1 << 21
"""Values converted to float64 at a time."""


class Pool:
    """One float32 array of normal numbers, of which workloads take views."""

    def __init__(self) -> None:
        self._values: Array = np.empty(0, np.float32)
        self._truths: dict[tuple[int, int], tuple[float, float]] = {}

    def values(self, size: int) -> Array:
        """Return the first `size` values, which do not depend on earlier calls."""
        if self._values.size < size:
            self._values = np.empty(0, np.float32)  # freed first: two may not fit in memory
            block = np.random.default_rng(0).standard_normal(PERIOD, dtype=np.float32)
            self._values = np.resize(block, size) if size > PERIOD else block
        return self._values[:size]

    def rows(self, count: int, dimension: int) -> Array:
        """Return (`count`, `dimension`) rows."""
        return self.values(count * dimension).reshape(count, dimension)

    def truth(self, count: int, dimension: int) -> tuple[float, float]:
        """Return the truth of `rows`, cached."""
        key = count, dimension
        if key not in self._truths:
            self._truths[key] = truth(self.rows(count, dimension))
        return self._truths[key]


def truth(rows: Array) -> tuple[float, float]:
    """Return (tr Σ, |ḡ|²) of rows (B, D) by NumPy in float64, in blocks of columns."""
    width = max(1, WINDOW // rows.shape[0])
    variance = norm = 0.0
    for start in range(0, rows.shape[1], width):
        window = rows[:, start : start + width].astype(np.float64)
        mean = window.mean(axis=0)
        norm += float(mean @ mean)
        variance += float(window.var(axis=0, ddof=1).sum())
    return variance, norm
