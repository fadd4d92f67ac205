"""Mean and variance of each coordinate over a stream of rows: Welford (1962), and Chan's merge of parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _state, kernels
from nalr.arrays import passes
from nalr.arrays.gradients import Array, Gradients, as_vector

Vector = NDArray[np.float64]


class PooledColumns:
    """Two D-vectors, whatever the number of rows; rows of different steps are pooled.

    Drift of the mean between steps counts as variance.
    """

    __slots__ = ("count", "m2", "mean")

    def __init__(self) -> None:
        self.count = 0
        self.mean: Vector = np.empty(0)  # (D,) once D is known
        self.m2: Vector = np.empty(0)  # (D,) Σ(g − ḡ)²

    def update(self, rows: Gradients) -> None:
        """Fold checked rows in; rows that are not all finite take no part, at the price of one more reading.

        One row is folded in place; more take one pass, and two vectors as long as a chunk.
        """
        if not math.isfinite(passes.squared_norm(rows)) and passes.count_nonfinite(rows):
            return
        if not self.mean.size:
            self.mean, self.m2 = np.zeros(rows.dimension), np.zeros(rows.dimension)
        if len(rows) == 1:
            welford(self.mean, self.m2, self.count, rows)
        else:
            self._merge_rows(rows)
        self.count += len(rows)

    def _merge_rows(self, rows: Gradients) -> None:
        def one(array: Array, low: int, high: int, here: slice) -> None:
            mean, m2 = np.empty(high - low), np.empty(high - low)
            kernels.columns.column_moments(mean, m2, array, low, high)
            kernels.moments.merge_columns(self.mean[here], self.m2[here], self.count, mean, m2, len(rows))

        passes.over_columns(one, rows)

    def merge(self, other: PooledColumns) -> None:
        """Fold in the rows that another object took."""
        if not other.count:
            return
        if not self.count:
            self.mean, self.m2 = other.mean.copy(), other.m2.copy()
        else:
            kernels.moments.merge_columns(self.mean, self.m2, self.count, other.mean, other.m2, other.count)
        self.count += other.count

    @property
    def variance(self) -> Vector:
        """Unbiased variance (D,); zeros for one row."""
        return self.m2 / max(self.count - 1, 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        return _state.fields_to_dict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        _state.fields_from_dict(self, state)


def welford(mean: Vector, m2: Vector, weight: float, row: Any, row_weight: float = 1.0) -> None:
    """Fold one row into the running mean and Σ w(g − ḡ)² of each coordinate, in place.

    Parameters
    ----------
    mean, m2 : array of shape (D,), float64
        The state; changed. Zeros before the first row.
    weight : float
        Total weight of the rows so far; 0 at first.
    row : array of shape (D,), or a list of arrays
        The new row, of any floating-point type.
    row_weight : float
        Its weight, positive.

    Notes
    -----
    Welford (1962), with the weights of West (1979). On as many threads as pay; nothing is allocated. Partial
    results of threads, processes or ranks are joined by `PooledColumns.merge`.

    Examples
    --------
    >>> mean, m2 = np.zeros(2), np.zeros(2)
    >>> for count, row in enumerate(np.array([[1.0, 5.0], [3.0, 5.0]])):
    ...     welford(mean, m2, count, row)
    >>> mean, m2
    (array([2., 5.]), array([2., 0.]))
    """
    if mean.shape != m2.shape:
        raise ValueError(f"`m2` must have the shape of `mean`, {mean.shape}, got {m2.shape}.")
    gradients = row if isinstance(row, Gradients) else as_vector("row", row, mean.size)

    def one(rows: Array, low: int, high: int, here: slice) -> None:
        kernels.columns.welford_row(mean[here], m2[here], weight, rows[0, low:high], row_weight)

    passes.over_columns(one, gradients, further_reads=8)  # two vectors of float64, read and written


def column_variance(rows: Gradients) -> Vector:
    """Return the unbiased variance over rows of each column, (D,); needs two rows or more."""
    variance = np.empty(rows.dimension)

    def one(array: Array, low: int, high: int, here: slice) -> None:
        block = variance[here]
        kernels.columns.column_moments(np.empty(high - low), block, array, low, high)
        block /= len(rows) - 1

    passes.over_columns(one, rows)
    return variance
