"""The spread of one step's estimates, from leaving out each of its rows in turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr.rows import RowAccumulator

FEWEST_ROWS = 4
"""With a row left out, three remain; from fewer the jackknife's own error exceeds what it measures."""


def within_step_covariance(
    rows: NDArray[Any], accumulated: RowAccumulator, weights: ArrayLike | None
) -> tuple[float, float, float, float] | None:
    """Return (Var |G|², Cov, Var tr Σ, degrees of freedom) of one step's estimates; None for too few rows.

    Delete-one jackknife (Tukey 1958). Leaving row i out of k moves the mean by a = wᵢ/(B − wᵢ) times gᵢ − ḡ,
    so |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ are all that is needed: one more pass over the rows, no B × B matrix.
    """
    from nalr.kernels import moments as kernels

    k = len(rows)
    if k < FEWEST_ROWS:
        return None
    distances, projections = np.empty(k), np.empty(k)
    kernels.deviations(distances, projections, rows, accumulated.mean)
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
    return float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1]), float(k - 1)
