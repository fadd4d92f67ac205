"""Mean and variance of each coordinate over a stream of rows: Welford (1962), and Chan's merge of parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.arrays import passes as batch
from nalr.arrays.gradients import Gradients, Part, as_vector

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
        if not math.isfinite(batch.squared_norm(rows)) and batch.count_nonfinite(rows):
            return
        if not self.mean.size:
            self.mean, self.m2 = np.zeros(rows.dimension), np.zeros(rows.dimension)
        if len(rows) == 1:
            welford(self.mean, self.m2, self.count, rows)
        else:
            self._merge_rows(rows)
        self.count += len(rows)

    def _merge_rows(self, rows: Gradients) -> None:
        from nalr.kernels import moments as kernels

        def one(part: Part, start: int, stop: int, offset: int) -> None:
            here = slice(offset + start, offset + stop)
            mean, m2 = np.empty(stop - start), np.empty(stop - start)
            kernels.column_moments(mean, m2, *part.window(start, stop))
            kernels.merge_columns(self.mean[here], self.m2[here], self.count, mean, m2, len(rows))

        batch.over_columns(one, rows)

    def merge(self, other: PooledColumns) -> None:
        """Fold in the rows that another object took."""
        from nalr.kernels import moments as kernels

        if not other.count:
            return
        if not self.count:
            self.mean, self.m2 = other.mean.copy(), other.m2.copy()
        else:
            kernels.merge_columns(self.mean, self.m2, self.count, other.mean, other.m2, other.count)
        self.count += other.count

    @property
    def variance(self) -> Vector:
        """Unbiased variance (D,); zeros for one row."""
        return self.m2 / max(self.count - 1, 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        return {"count": self.count, "mean": self.mean.copy(), "m2": self.m2.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.count = int(state["count"])
        self.mean, self.m2 = np.array(state["mean"]), np.array(state["m2"])


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
    from nalr.kernels import moments as kernels

    if mean.shape != m2.shape:
        raise ValueError(f"`m2` must have the shape of `mean`, {mean.shape}, got {m2.shape}.")
    gradients = row if isinstance(row, Gradients) else as_vector("row", row, mean.size)

    def one(part: Part, start: int, stop: int, offset: int) -> None:
        here = slice(offset + start, offset + stop)
        kernels.welford_row(mean[here], m2[here], weight, part.row(start, stop), row_weight)

    batch.over_columns(one, gradients, further_reads=8)  # two vectors of float64, read and written


def column_variance(rows: Gradients) -> Vector:
    """Return the unbiased variance over rows of each column, (D,); needs two rows or more."""
    from nalr.kernels import moments as kernels

    variance = np.empty(rows.dimension)

    def one(part: Part, start: int, stop: int, offset: int) -> None:
        block = variance[offset + start : offset + stop]
        kernels.column_moments(np.empty(stop - start), block, *part.window(start, stop))
        block /= len(rows) - 1

    batch.over_columns(one, rows)
    return variance
