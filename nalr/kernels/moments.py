"""Rows of gradients to sums: one pass over memory, safe against large offsets.

The plain mean(g²) − mean(g)² loses every digit once the mean is 10⁸ times the deviation. Here rows
are shifted by the first of them before they are squared, so the cancellation left costs at most a
factor B + 1 in rounding (|g₀ − ḡ|² is itself one of the terms summed), and parts are joined by the
formula of Chan, Golub & LeVeque (1979).

Differences of float32 rows are taken in float32: that of two numbers within a factor of two is exact, and
any other is rounded by no more than the rows themselves were. Squares and totals are float64 whatever the
rows are: float32 squares would overflow from 10¹⁹ on. Eight rows are taken a trip, so that a block's
running totals are read and written once for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import jit, reassociating
from nalr.kernels._wide import wide

Array = NDArray[Any]

BLOCK = 16384
"""Columns taken together: 128 KiB of running totals, which stay in the second-level cache, while each row
is read for 64 KiB on end. Blocks for the first level (4096) start a new stream 4 times as often: −15 %."""


# Loops run over views of a block, from 0: an index that starts elsewhere may be negative for all the compiler
# knows, and the loop is then not vectorised, which costs a factor of 5.


@reassociating
def add_eight(
    total: Array, a: Array, b: Array, c: Array, d: Array, e: Array, f: Array, g: Array, h: Array, first: Array
) -> float:
    """Add the deviations of eight rows from `first` to `total`, a block; return their sum of squares."""
    squares = 0.0
    for j in range(total.size):
        shift = wide(first[j])
        p, q, r, s = wide(a[j]) - shift, wide(b[j]) - shift, wide(c[j]) - shift, wide(d[j]) - shift
        t, u, v, w = wide(e[j]) - shift, wide(f[j]) - shift, wide(g[j]) - shift, wide(h[j]) - shift
        total[j] += np.float64(((p + q) + (r + s)) + ((t + u) + (v + w)))
        squares += square(p) + square(q) + square(r) + square(s)
        squares += square(t) + square(u) + square(v) + square(w)
    return squares


@reassociating
def square(value: float) -> float:
    """Return the square of `value` in float64."""
    exact = np.float64(value)
    return exact * exact


@reassociating
def four_rows(a: Array, b: Array, c: Array, d: Array, share: float) -> tuple[float, float]:
    """Return (Σ|gᵢ − ḡ|², |ḡ|²) of up to four rows, one row standing in for each that lacks; nothing stored.

    `share` is 1/B. A batch of few rows has no time to write totals: this reads alone.
    """
    spread = 0.0
    norm = 0.0
    for j in range(a.size):
        shift = wide(a[j])
        q, r, s = wide(b[j]) - shift, wide(c[j]) - shift, wide(d[j]) - shift
        total = np.float64(q + (r + s))
        moved = share * total
        spread += square(q) + square(r) + square(s) - total * moved
        norm += square(np.float64(shift) + moved)
    return spread, norm


@reassociating
def eight_rows(
    a: Array, b: Array, c: Array, d: Array, e: Array, f: Array, g: Array, h: Array, share: float
) -> tuple[float, float]:
    """Return (Σ|gᵢ − ḡ|², |ḡ|²) of up to eight rows; see `four_rows`."""
    spread = 0.0
    norm = 0.0
    for j in range(a.size):
        shift = wide(a[j])
        q, r, s = wide(b[j]) - shift, wide(c[j]) - shift, wide(d[j]) - shift
        t, u, v, w = wide(e[j]) - shift, wide(f[j]) - shift, wide(g[j]) - shift, wide(h[j]) - shift
        total = np.float64((q + (r + s)) + ((t + u) + (v + w)))
        moved = share * total
        spread += square(q) + square(r) + square(s) - total * moved
        spread += square(t) + square(u) + square(v) + square(w)
        norm += square(np.float64(shift) + moved)
    return spread, norm


@reassociating
def close_block(total: Array, first: Array, share: float) -> tuple[float, float]:
    """Turn the total deviation from `first` into the mean; return what it takes off the spread, and |ḡ|²."""
    taken = 0.0
    norm = 0.0
    for j in range(total.size):
        moved = share * total[j]
        taken += total[j] * moved
        mean = np.float64(wide(first[j])) + moved
        total[j] = mean
        norm += mean * mean
    return taken, norm


@jit
def block_moments(total: Array, rows: Array, start: int, stop: int) -> tuple[float, float]:
    """Write the mean of columns `start` to `stop` of `rows` to `total`; return (Σ|gᵢ − ḡ|², |ḡ|²)."""
    count = rows.shape[0]
    first = rows[0, start:stop]
    total[:] = 0.0
    spread = 0.0
    for i in range(0, count, 8):
        # Row 0 stands in for rows that lack: its deviation from itself is 0.
        spread += add_eight(
            total,
            rows[i, start:stop],
            rows[i + 1 if i + 1 < count else 0, start:stop],
            rows[i + 2 if i + 2 < count else 0, start:stop],
            rows[i + 3 if i + 3 < count else 0, start:stop],
            rows[i + 4 if i + 4 < count else 0, start:stop],
            rows[i + 5 if i + 5 < count else 0, start:stop],
            rows[i + 6 if i + 6 < count else 0, start:stop],
            rows[i + 7 if i + 7 < count else 0, start:stop],
            first,
        )
    taken, norm = close_block(total, first, 1.0 / count)
    return spread - taken, norm


@jit
def few_rows_moments(rows: Array, start: int, stop: int) -> tuple[float, float]:
    """Return (Σ|gᵢ − ḡ|², |ḡ|²) of columns `start` to `stop` of at most eight `rows`."""
    count = rows.shape[0]
    a = rows[0, start:stop]
    b = rows[1 if count > 1 else 0, start:stop]
    c = rows[2 if count > 2 else 0, start:stop]
    d = rows[3 if count > 3 else 0, start:stop]
    if count <= 4:
        return four_rows(a, b, c, d, 1.0 / count)
    e = rows[4, start:stop]
    f = rows[5 if count > 5 else 0, start:stop]
    g = rows[6 if count > 6 else 0, start:stop]
    h = rows[7 if count > 7 else 0, start:stop]
    return eight_rows(a, b, c, d, e, f, g, h, 1.0 / count)


@jit
def batch_moments(total: Array, rows: Array, start: int, stop: int, keep: bool) -> tuple[float, float]:
    """Return (Σ|gᵢ − ḡ|², |ḡ|²) over columns `start` to `stop` of `rows` (B, ≥ D).

    With `keep` the mean of those columns goes to `total` (stop − start,); else `total` is scratch of at
    least `BLOCK` values.
    """
    if not keep and rows.shape[0] <= 8:
        return few_rows_moments(rows, start, stop)
    spread = 0.0
    norm = 0.0
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        block = total[low - start : high - start] if keep else total[: high - low]
        s, n = block_moments(block, rows, low, high)
        spread += s
        norm += n
    return spread, norm


@reassociating
def column_order_moments(
    total: Array, columns: Array, start: int, stop: int, keep: bool
) -> tuple[float, float]:
    """Do what `batch_moments` does for rows in Fortran order, given as `columns` (D, B)."""
    spread = 0.0
    norm = 0.0
    share = 1.0 / columns.shape[1]
    for j in range(start, stop):
        column = columns[j]
        shift = wide(column[0])
        moved = 0.0
        squares = 0.0
        for i in range(column.size):
            deviation = np.float64(wide(column[i]) - shift)
            moved += deviation
            squares += deviation * deviation
        spread += squares - share * moved * moved
        mean = np.float64(shift) + share * moved
        norm += mean * mean
        if keep:
            total[j - start] = mean
    return spread, norm


@reassociating
def add_shifted(total: Array, row: Array, first: Array, weight: float) -> float:
    """Add `weight` (row − first) to `total`, a block; return |row − first|²."""
    squares = 0.0
    for j in range(total.size):
        deviation = np.float64(wide(row[j])) - np.float64(wide(first[j]))
        total[j] += weight * deviation
        squares += deviation * deviation
    return squares


@jit
def weighted_moments(
    total: Array, rows: Array, weights: Array, start: int, stop: int, keep: bool
) -> tuple[float, float]:
    """Do what `batch_moments` does with `weights` (B,): return (Σ wᵢ|gᵢ − ḡ|², |ḡ|²), ḡ the weighted mean."""
    share = 1.0 / weights.sum()
    spread = 0.0
    norm = 0.0
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        block = total[low - start : high - start] if keep else total[: high - low]
        first = rows[0, low:high]
        block[:] = 0.0
        for i in range(1, rows.shape[0]):
            spread += weights[i] * add_shifted(block, rows[i, low:high], first, weights[i])
        taken, n = close_block(block, first, share)
        spread -= taken
        norm += n
    return spread, norm


@reassociating
def merge_mean(mean: Array, weight: float, other: Array, other_weight: float) -> float:
    """Move `mean` (D,) of total `weight` to its mean with `other`; return what Σ w|g − ḡ|² gains.

    One row of weight w is the case `other` = row, `other_weight` = w: the update of Welford (1962),
    with the weights of West (1979).
    """
    share = other_weight / (weight + other_weight)
    distance = 0.0
    for j in range(mean.size):
        deviation = np.float64(wide(other[j])) - mean[j]
        mean[j] += share * deviation
        distance += deviation * deviation
    return weight * share * distance


@jit
def merge_columns(
    mean: Array, m2: Array, weight: float, other_mean: Array, other_m2: Array, other_weight: float
) -> None:
    """Fold another part's column means and Σ w(g − ḡ)² into `mean` and `m2` (D,)."""
    share = other_weight / (weight + other_weight)
    for j in range(mean.size):
        deviation = other_mean[j] - mean[j]
        mean[j] += share * deviation
        m2[j] += other_m2[j] + weight * share * deviation * deviation


@reassociating
def deviations(
    squared_distances: Array, projections: Array, rows: Array, mean: Array, start: int, stop: int
) -> None:
    """Add the share that columns `start` to `stop` have in |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ to (B,) arrays.

    These are all that leaving a row out needs. `mean` is that of those columns.
    """
    for i in range(rows.shape[0]):
        row = rows[i, start:stop]
        distance = 0.0
        projection = 0.0
        for j in range(mean.size):
            deviation = np.float64(wide(row[j])) - mean[j]
            distance += deviation * deviation
            projection += mean[j] * deviation
        squared_distances[i] += distance
        projections[i] += projection


@jit
def count_nonfinite(rows: Array, start: int, stop: int) -> int:
    """Return how many values in columns `start` to `stop` of `rows` are nan or infinite."""
    count = 0
    for row in rows:
        for value in row[start:stop]:
            if not np.isfinite(wide(value)):
                count += 1
    return count


@reassociating
def sum_squares(row: Array) -> float:
    """Return Σ gⱼ² in float64, reading once."""
    total = 0.0
    for j in range(row.size):
        total += square(wide(row[j]))
    return total


@reassociating
def dot(a: Array, b: Array) -> float:
    """Return Σ aⱼ bⱼ in float64."""
    total = 0.0
    for j in range(a.size):
        total += np.float64(wide(a[j])) * np.float64(wide(b[j]))
    return total
