"""Mean and Σ(g − ḡ)² of each column of gradient rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import jit, reassociating
from nalr.kernels._wide import wide

Array = NDArray[Any]

COLUMN_BLOCK = 4096
"""Columns taken together: two vectors of state, 64 KiB, which stay in the cache."""


@reassociating
def add_four_columns(
    total: Array, squares: Array, a: Array, b: Array, c: Array, d: Array, first: Array
) -> None:
    """Add the deviations of four rows from `first`, and their squares, to `total` and `squares`, a block."""
    for j in range(total.size):
        shift = np.float64(wide(first[j]))
        p, q = np.float64(wide(a[j])) - shift, np.float64(wide(b[j])) - shift
        r, s = np.float64(wide(c[j])) - shift, np.float64(wide(d[j])) - shift
        total[j] += (p + q) + (r + s)
        squares[j] += (p * p + q * q) + (r * r + s * s)


@jit
def column_moments(mean: Array, m2: Array, rows: Array, start: int, stop: int) -> None:
    """Write mean and Σ(g − ḡ)² of columns `start` to `stop` of `rows` to `mean`, `m2` (stop − start,).

    One pass, shifted by the first row: since |g₀ − ḡ|² of a column is one of the terms of its Σ(g − ḡ)², the
    subtraction costs at most a factor B + 1 in rounding, whatever the offset.
    """
    count = rows.shape[0]
    for low in range(start, stop, COLUMN_BLOCK):
        high = min(low + COLUMN_BLOCK, stop)
        average, squares = mean[low - start : high - start], m2[low - start : high - start]
        first = rows[0, low:high]
        average[:] = 0.0
        squares[:] = 0.0
        for i in range(1, count, 4):
            b = rows[i + 1 if i + 1 < count else 0, low:high]
            c = rows[i + 2 if i + 2 < count else 0, low:high]
            d = rows[i + 3 if i + 3 < count else 0, low:high]
            add_four_columns(average, squares, rows[i, low:high], b, c, d, first)
        for j in range(average.size):
            moved = average[j] / count
            squares[j] = max(squares[j] - average[j] * moved, 0.0)
            average[j] = np.float64(wide(first[j])) + moved


@jit
def welford_row(mean: Array, m2: Array, weight: float, row: Array, row_weight: float) -> None:
    """Fold one `row` (D,) of `row_weight` into `mean` and `m2` (D,) of total `weight`, per coordinate.

    Welford (1962), with the weights of West (1979).
    """
    share = row_weight / (weight + row_weight)
    for j in range(mean.size):
        deviation = np.float64(wide(row[j])) - mean[j]
        moved = share * deviation
        mean[j] += moved
        m2[j] += weight * moved * deviation
