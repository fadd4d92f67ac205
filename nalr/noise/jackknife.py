"""The spread of one step's estimates, from leaving out each of its rows in turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr.arrays import passes as batch
from nalr.arrays.gradients import Gradients, Part
from nalr.moments.rows import RowAccumulator
from nalr.noise.pairs import MOST_ROWS, squared_covariance_trace
from nalr.statistics.within_step import Within

FEWEST_ROWS = 4
"""With a row left out, three remain; from fewer the jackknife's own error exceeds what it measures."""


def within_step_covariance(
    rows: Gradients, accumulated: RowAccumulator, weights: ArrayLike | None
) -> Within | None:
    """Return what the rows of one step say of the errors of its |G|² and tr Σ; None for too few rows.

    Delete-one jackknife (Tukey 1958). Leaving row i out of k moves the mean by a = wᵢ/(B − wᵢ) times gᵢ − ḡ,
    so |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ are all that is needed: one more pass over the rows, no B × B matrix.

    |G|² is a mean over pairs of rows. What pairs add to its variance beyond single rows, 2 tr Σ²/(k(k − 1)),
    the jackknife counts 2(k − 1)/(k − 2) times (Efron & Stein 1981): without signal, where there is nothing
    else, its intervals cover 99 %. That is taken off, and put back once, for rows of equal weight.
    """
    k = len(rows)
    if k < FEWEST_ROWS:
        return None
    w = np.ones(k) if weights is None else np.asarray(weights, dtype=np.float64).reshape(-1)
    covariance = _jackknife(rows, accumulated, w)
    if not np.isfinite(covariance).all():
        return None
    signal, both, variance = float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])
    freedom = float(k - 1)
    if np.ptp(w) != 0.0:  # no part of the jackknife's is then known to be that of pairs
        return Within(0.0, signal, 0.0, both, variance, freedom, freedom)
    square = max(squared_covariance_trace(rows), 0.0)
    total = accumulated.sum_squares / (k - 1) / float(w[0])  # tr Σ of a row
    pairs = 2.0 * square / (k * (k - 1))
    m = min(k, MOST_ROWS)
    return Within(
        rows=signal - pairs * 2.0 * (k - 1) / (k - 2),
        pairs=pairs,
        per_signal=4.0 * square / (k * total) if total > 0.0 else 0.0,
        both=both,
        variance=variance,
        rows_freedom=freedom,
        pairs_freedom=0.5 * (m - 1) * (m - 2),
    )


def _jackknife(rows: Gradients, accumulated: RowAccumulator, w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance (2, 2) of |G|² and tr Σ from leaving out each row in turn."""
    k = len(rows)
    distances, projections = _deviations(rows, accumulated.mean)
    total = accumulated.total_weight
    rest = total - w
    a = w / rest
    full = accumulated.moments()
    norms = full.mean_squared_norm - 2.0 * a * projections + a * a * distances
    variances = (full.sum_squares - w * distances * total / rest) / (k - 2)
    signals = norms - variances / rest
    covariance: NDArray[np.float64] = (k - 1) ** 2 / k * np.cov(signals, variances)  # np.cov: over k − 1
    return covariance


def _deviations(
    rows: Gradients, mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ of each row, (B,)."""
    from nalr.kernels import moments as kernels

    def one(part: Part, start: int, stop: int, offset: int) -> NDArray[np.float64]:
        sums = np.zeros((2, len(rows)))
        array, low, high = part.window(start, stop)
        kernels.deviations(sums[0], sums[1], array, mean[offset + start : offset + stop], low, high)
        return sums

    total = sum(batch.over_columns(one, rows), np.zeros((2, len(rows))))
    return total[0], total[1]
