"""The rows of one step, folded into the sums of a `Moments` record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _state, kernels
from nalr.arrays import passes
from nalr.arrays.gradients import Array, Gradients
from nalr.moments.record import Moments

Vector = NDArray[np.float64]


class RowAccumulator:
    """The rows of one step, folded in one at a time or many at once; memory D, never B × D.

    Any split of the rows gives the same sums up to rounding (Welford 1962; West 1979 for weights;
    Chan, Golub & LeVeque 1979 for parts).
    """

    __slots__ = ("mean", "nonfinite", "num_rows", "sum_squares", "total_weight")

    def __init__(self) -> None:
        self.mean: Vector = np.empty(0)  # (D,) once D is known; belongs to this object
        self.reset()

    def reset(self) -> None:
        """Forget the rows; keep the buffer."""
        self.num_rows = 0
        self.total_weight = 0.0
        self.sum_squares = 0.0
        self.nonfinite = 0

    def add(self, row: Gradients, weight: float = 1.0) -> None:
        """Fold in one checked row."""
        if self.num_rows == 0:
            return self.add_rows(row, np.array([weight]))

        def one(rows: Array, low: int, high: int, here: slice) -> float:
            return kernels.moments.merge_mean(self.mean[here], self.total_weight, rows[0, low:high], weight)

        gain = float(sum(passes.over_columns(one, row)))
        self.sum_squares += gain
        self.num_rows += 1
        self.total_weight += weight
        if not math.isfinite(gain):
            self.nonfinite += passes.count_nonfinite(row)

    def add_rows(self, rows: Gradients, weights: Vector | None = None) -> None:
        """Fold in checked rows, of checked `weights` (1 each if None), in one pass."""
        if not self.mean.size:
            self.mean = np.empty(rows.dimension)
        mean = self.mean if self.num_rows == 0 else np.empty_like(self.mean)
        spread, norm, _ = passes.measure(rows, weights, mean)
        total = float(rows.num_rows if weights is None else weights.sum())
        finite = math.isfinite(spread) and math.isfinite(norm)
        self._join(mean, rows.num_rows, total, spread, 0 if finite else passes.count_nonfinite(rows))

    def merge(self, other: RowAccumulator) -> None:
        """Fold in the rows that another accumulator took at the same parameters."""
        if other.num_rows == 0:
            return
        if not self.mean.size:
            self.mean = np.empty_like(other.mean)
        if self.num_rows == 0:
            self.mean[:] = other.mean
        self._join(other.mean, other.num_rows, other.total_weight, other.sum_squares, other.nonfinite)

    def _join(self, mean: Vector, num_rows: int, weight: float, spread: float, nonfinite: int) -> None:
        """Take in the sums of more rows; `mean` is our own already where these are the first."""
        if self.num_rows:

            def one(here: slice) -> float:
                return kernels.moments.merge_mean(self.mean[here], self.total_weight, mean[here], weight)

            self.sum_squares += float(sum(passes.over_vector(one, mean.size)))
        self.sum_squares += spread
        self.num_rows += num_rows
        self.total_weight += weight
        self.nonfinite += nonfinite

    def moments(self) -> Moments:
        """Return the sums of the rows so far."""
        norm = passes.squared_length(self.mean)
        return Moments(
            self.num_rows,
            self.total_weight,
            self.mean.size,
            norm,
            self.sum_squares,
            nonfinite=self.nonfinite,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        return _state.fields_to_dict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        _state.fields_from_dict(self, state)
