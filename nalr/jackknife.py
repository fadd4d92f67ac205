"""The spread of one step's estimates, from leaving out each of its rows in turn."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import batch
from nalr.inputs import Gradients, Part
from nalr.pairs import squared_covariance_trace
from nalr.rows import RowAccumulator

FEWEST_ROWS = 4
"""With a row left out, three remain; from fewer the jackknife's own error exceeds what it measures."""


LEAST = 0.75
"""Least variance of |G|², in that of pure noise, 2 tr Σ²/(k(k − 1)). At 1 chance would only ever raise it,
and intervals cover 98 % where there is no signal; at ½ they cover 92 % where there is a little."""


def within_step_covariance(
    rows: Gradients, accumulated: RowAccumulator, weights: ArrayLike | None
) -> tuple[float, float, float, float] | None:
    """Return (Var |G|², Cov, Var tr Σ, degrees of freedom) of one step's estimates; None for too few rows.

    Delete-one jackknife (Tukey 1958). Leaving row i out of k moves the mean by a = wᵢ/(B − wᵢ) times gᵢ − ḡ,
    so |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ are all that is needed: one more pass over the rows, no B × B matrix.

    |G|² is a mean over pairs of rows. What pairs add to its variance beyond single rows, 2 tr Σ²/(k(k − 1)),
    the jackknife counts twice (Efron & Stein 1981): without signal, where there is nothing else, its
    intervals cover 99 %. The excess, 2 tr Σ²/((k − 1)(k − 2)), is taken off for rows of equal weight.
    """
    k = len(rows)
    if k < FEWEST_ROWS:
        return None
    distances, projections = _deviations(rows, accumulated.mean)
    w = np.ones(k) if weights is None else np.asarray(weights, dtype=np.float64).reshape(-1)
    total = accumulated.total_weight
    rest = total - w
    a = w / rest
    full = accumulated.moments()
    norms = full.mean_squared_norm - 2.0 * a * projections + a * a * distances
    variances = (full.sum_squares - w * distances * total / rest) / (k - 2)
    signals = norms - variances / rest
    covariance = (k - 1) ** 2 / k * np.cov(signals, variances)  # np.cov divides by k − 1
    if not np.isfinite(covariance).all():
        return None
    signal, both, variance = float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])
    if np.ptp(w) == 0.0:
        signal = _without_excess(signal, max(squared_covariance_trace(rows), 0.0), k)
    limit = math.sqrt(signal * variance)  # a correlation beyond ±1 is none
    return signal, min(max(both, -limit), limit), variance, float(k - 1)


def _without_excess(jackknife: float, pairs: float, k: int) -> float:
    """Return the variance of |G|² without what the jackknife counts twice, given tr Σ² of the rows."""
    return max(jackknife - 2.0 * pairs / ((k - 1) * (k - 2)), LEAST * 2.0 * pairs / (k * (k - 1)))


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
