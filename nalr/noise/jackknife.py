"""What the rows of one step say of the errors of its |G|² and tr Σ, from leaving out each row in turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nalr import kernels
from nalr.arrays import passes
from nalr.arrays.gradients import Array, Gradients, as_floats
from nalr.moments.record import Moments
from nalr.noise.within_step import Within

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

FEWEST_ROWS = 4
"""With a row left out, three remain; from fewer the jackknife's own error exceeds what it measures."""

MOST_PAIRED = 16
"""Rows that are paired: 120 pairs, whose mean is some 13 % off where many directions share the noise."""

WIDTH = 8192
"""Columns at a time: 16 rows of them in float64 stay in the cache."""


def within_step_covariance(
    rows: Gradients, mean: Vector, moments: Moments, weights: Vector | None
) -> Within | None:
    """Return what the rows of one step say of the errors of its |G|² and tr Σ; None for too few rows.

    Delete-one jackknife (Tukey 1958). Leaving row i out of k moves the mean by a = wᵢ/(B − wᵢ) times gᵢ − ḡ,
    so |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ are all that is needed: one more pass over the rows, no B × B matrix.

    |G|² is a mean over pairs of rows. What pairs add to its variance beyond single rows, 2 tr Σ²/(k(k − 1)),
    the jackknife counts 2(k − 1)/(k − 2) times (Efron & Stein 1981): without signal, where there is nothing
    else, its intervals cover 99 %. That is taken off, and put back once, for rows of equal weight.

    `mean` and `moments` are those of the rows, or of more rows with the same weights.
    """
    k = rows.num_rows
    if k < FEWEST_ROWS:
        return None
    w = np.ones(k) if weights is None else weights
    equal = np.ptp(w) == 0.0
    m = min(k, MOST_PAIRED)
    distances, projections, gram = row_products(rows, mean, m if equal else 0)
    covariance = _jackknife(moments, w, distances, projections)
    if not np.isfinite(covariance).all():
        return None
    signal, both, variance = float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1])
    freedom = float(k - 1)
    if not equal:  # no part of the jackknife's is then known to be that of pairs
        return Within(0.0, signal, 0.0, both, variance, freedom, freedom)
    square = max(squared_covariance_trace(gram), 0.0)
    total = moments.sum_squares / (k - 1) / float(w[0])  # tr Σ of a row
    pairs = 2.0 * square / (k * (k - 1))
    return Within(
        rows=signal - pairs * 2.0 * (k - 1) / (k - 2),
        pairs=pairs,
        per_signal=4.0 * square / (k * total) if total > 0.0 else 0.0,
        both=both,
        variance=variance,
        rows_freedom=freedom,
        pairs_freedom=0.5 * (m - 1) * (m - 2),
    )


def _jackknife(moments: Moments, w: Vector, distances: Vector, projections: Vector) -> Matrix:
    """Return the covariance (2, 2) of |G|² and tr Σ from leaving out each row in turn."""
    k = len(w)
    total = moments.total_weight
    rest = total - w
    a = w / rest
    norms = moments.mean_squared_norm - 2.0 * a * projections + a * a * distances
    variances = (moments.sum_squares - w * distances * total / rest) / (k - 2)
    signals = norms - variances / rest
    covariance: Matrix = (k - 1) ** 2 / k * np.cov(signals, variances)  # np.cov: over k − 1
    return covariance


def row_products(rows: Gradients, mean: Vector, m: int) -> tuple[Vector, Vector, Matrix]:
    """Return |gᵢ − ḡ|² and ⟨ḡ, gᵢ − ḡ⟩ of each row, (B,), and `_centred_gram` of the first m, (m, m)."""

    def one(array: Array, low: int, high: int, here: slice) -> tuple[Matrix, Matrix]:
        sums = np.zeros((2, rows.num_rows))
        kernels.moments.deviations(sums[0], sums[1], array, mean[here], low, high)
        return sums, _centred_gram(array[:m, low:high])

    found = passes.over_columns(one, rows)
    distances, projections = sum((sums for sums, _ in found), np.zeros((2, rows.num_rows)))
    return distances, projections, sum((gram for _, gram in found), np.zeros((m, m)))


def _centred_gram(rows: Array) -> Matrix:
    """Return the products (m, m) of rows (m, D), as kernels take them, about their mean."""
    gram = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1] if len(rows) else 0, WIDTH):
        window = rows[:, start : start + WIDTH]
        if window.dtype.kind != "f":  # the bits of 16-bit floats
            window = as_floats(window)
        with np.errstate(over="ignore", invalid="ignore"):  # the jackknife is not finite then either
            window = window.astype(np.float64)
            window -= window.mean(axis=0)
            gram += window @ window.T
    return gram


def squared_covariance_trace(gram: Matrix) -> float:
    """Return an estimate of tr Σ² from the products of at least 4 rows about their mean; it may be negative.

    E⟨e, e′⟩² = tr Σ² for independent noises e, e′. Every product of two rows that holds the mean too is
    freed of it by products of three and four different rows (Chen, Zhang & Zhong 2010), so it is unbiased
    whatever the distribution; written in the centred Gram matrix those sums need no loop over triples.
    """
    m = len(gram)
    diagonal = gram.diagonal()
    pairs = float((gram * gram).sum() - (diagonal * diagonal).sum())
    triples = float((diagonal * diagonal).sum()) - pairs
    quadruples = float(diagonal.sum()) ** 2 - 4.0 * triples - 2.0 * pairs
    count = m * (m - 1)
    return pairs / count - 2.0 * triples / (count * (m - 2)) + quadruples / (count * (m - 2) * (m - 3))
