"""Rows of gradients to sums: one pass over memory, safe against large offsets.

The tempting mean(g²) − mean(g)² loses every digit once the mean is 10⁸ times the deviation. Here rows
are shifted by the first of them before they are squared, so the cancellation left costs at most a
factor B + 1 in rounding (|g₀ − ḡ|² is itself one of the terms summed), and parts are joined by the
formula of Chan, Golub & LeVeque (1979). Sums are float64 whatever the rows are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import jit, reassociating

Array = NDArray[Any]

COLUMN_BLOCK = 4096
"""Columns taken together: 32 KiB of running sums, which stay in the first-level cache."""


# Loops run over views of a block, from 0: an index that starts elsewhere may be negative for all the compiler
# knows, and the loop is then not vectorised, which costs a factor of 5.


@reassociating
def add_shifted(total: Array, row: Array, first: Array, weight: float) -> float:
    """Add `weight` (row − first) to `total`, a block; return |row − first|²."""
    squares = 0.0
    for j in range(total.size):
        deviation = np.float64(row[j]) - np.float64(first[j])
        total[j] += weight * deviation
        squares += deviation * deviation
    return squares


@reassociating
def batch_moments(mean: Array, rows: Array, weights: Array) -> tuple[float, float]:
    """Write the weighted mean of `rows` (B, D) to `mean` (D,); return (Σ wᵢ|gᵢ − ḡ|², |ḡ|²)."""
    num_rows, dimension = rows.shape
    total_weight = 0.0
    for i in range(num_rows):
        total_weight += weights[i]
    spread = 0.0
    norm = 0.0
    for start in range(0, dimension, COLUMN_BLOCK):
        stop = min(start + COLUMN_BLOCK, dimension)
        block, first = mean[start:stop], rows[0, start:stop]
        block[:] = 0.0
        for i in range(1, num_rows):
            spread += weights[i] * add_shifted(block, rows[i, start:stop], first, weights[i])
        for j in range(block.size):
            shifted = block[j] / total_weight
            spread -= total_weight * shifted * shifted
            block[j] = first[j] + shifted
            norm += block[j] * block[j]
    # Equal rows may leave −1 ulp of nothing; `spread < 0` is False for nan, which must stay visible.
    if spread < 0.0:
        spread = 0.0
    return spread, norm


@jit
def column_moments(mean: Array, m2: Array, rows: Array) -> None:
    """Write the mean and Σ(g − ḡ)² of each column of `rows` (B, D) to `mean` and `m2` (D,).

    Two passes over cache-sized column blocks; the second subtracts what rounding left in the mean.
    """
    num_rows, dimension = rows.shape
    rest = np.empty(min(COLUMN_BLOCK, dimension))
    for start in range(0, dimension, COLUMN_BLOCK):
        stop = min(start + COLUMN_BLOCK, dimension)
        average, squares, residual = mean[start:stop], m2[start:stop], rest[: stop - start]
        average[:] = 0.0
        squares[:] = 0.0
        residual[:] = 0.0
        first = rows[0, start:stop]
        for i in range(1, num_rows):
            add_shifted(average, rows[i, start:stop], first, 1.0)
        for j in range(average.size):
            average[j] = first[j] + average[j] / num_rows
        for i in range(num_rows):
            row = rows[i, start:stop]
            for j in range(average.size):
                deviation = row[j] - average[j]
                residual[j] += deviation
                squares[j] += deviation * deviation
        for j in range(average.size):
            squares[j] = max(squares[j] - residual[j] * residual[j] / num_rows, 0.0)


@reassociating
def merge_mean(mean: Array, weight: float, other: Array, other_weight: float) -> float:
    """Move `mean` (D,) of total `weight` to its mean with `other`; return what Σ w|g − ḡ|² gains.

    One row of weight w is the case `other` = row, `other_weight` = w: the update of Welford (1962),
    with the weights of West (1979).
    """
    share = other_weight / (weight + other_weight)
    distance = 0.0
    for j in range(mean.size):
        deviation = other[j] - mean[j]
        mean[j] += share * deviation
        distance += deviation * deviation
    return weight * share * distance


@jit
def merge_columns(
    mean: Array, m2: Array, count: int, other_mean: Array, other_m2: Array, other_count: int
) -> None:
    """Fold another part's column means and Σ(g − ḡ)² into `mean` and `m2` (D,)."""
    share = other_count / (count + other_count)
    for j in range(mean.size):
        deviation = other_mean[j] - mean[j]
        mean[j] += share * deviation
        m2[j] += other_m2[j] + count * share * deviation * deviation


@jit
def welford_row(mean: Array, m2: Array, count: int, row: Array) -> None:
    """Fold one `row` (D,) into `mean` and `m2` (D,) of `count` rows: Welford (1962), per coordinate."""
    for j in range(mean.size):
        deviation = row[j] - mean[j]
        mean[j] += deviation / (count + 1)
        m2[j] += deviation * (row[j] - mean[j])


@reassociating
def deviations(squared_distances: Array, projections: Array, rows: Array, mean: Array) -> None:
    """Write |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ of each row to (B,) arrays: all that leaving a row out needs."""
    for i in range(rows.shape[0]):
        distance = 0.0
        projection = 0.0
        for j in range(mean.size):
            deviation = rows[i, j] - mean[j]
            distance += deviation * deviation
            projection += mean[j] * deviation
        squared_distances[i] = distance
        projections[i] = projection


@jit
def count_nonfinite(array: Array) -> int:
    """Return how many values of a one- or two-dimensional `array` are nan or infinite."""
    count = 0
    for value in array.flat:
        if not np.isfinite(value):
            count += 1
    return count


@reassociating
def dot(a: Array, b: Array) -> float:
    """Return Σ aⱼ bⱼ in float64."""
    total = 0.0
    for j in range(a.size):
        total += np.float64(a[j]) * np.float64(b[j])
    return total
