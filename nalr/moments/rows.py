"""The rows of one step, folded into the sums of a `Moments` record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr.arrays import passes as batch
from nalr.arrays.gradients import Gradients, Part, as_vector
from nalr.moments.record import Moments, checked_weights

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

    @property
    def dimension(self) -> int | None:
        """D, once it is known."""
        return self.mean.size or None

    def add(self, row: Gradients, weight: float = 1.0) -> None:
        """Fold in one checked row."""
        if self.num_rows == 0:
            return self.add_rows(row, [weight])
        gain = self._merge_row(row, weight)
        self.sum_squares += gain
        self.num_rows += 1
        self.total_weight += weight
        if not math.isfinite(gain):
            self.nonfinite += batch.count_nonfinite(row)

    def _merge_row(self, row: Gradients, weight: float) -> float:
        from nalr.kernels import moments as kernels

        def one(part: Part, start: int, stop: int, offset: int) -> float:
            block = self.mean[offset + start : offset + stop]
            return kernels.merge_mean(block, self.total_weight, part.row(start, stop), weight)

        return float(sum(batch.over_columns(one, row)))

    def add_rows(self, rows: Gradients, weights: ArrayLike | None = None) -> None:
        """Fold in checked rows in one pass."""
        if not self.mean.size:
            self.mean = np.empty(rows.dimension)
        mean = self.mean if self.num_rows == 0 else np.empty_like(self.mean)
        shares = None if weights is None else np.array(checked_weights(weights, len(rows)))
        spread, norm, _ = batch.measure(rows, shares, mean)
        total = float(len(rows) if shares is None else shares.sum())
        finite = math.isfinite(spread) and math.isfinite(norm)
        self._join(mean, len(rows), total, spread, 0 if finite else batch.count_nonfinite(rows))

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
        if self.num_rows:
            self.sum_squares += self._merge_row(as_vector("mean", mean), weight)
        self.sum_squares += spread
        self.num_rows += num_rows
        self.total_weight += weight
        self.nonfinite += nonfinite

    def moments(self) -> Moments:
        """Return the sums of the rows so far."""
        norm = batch.squared_norm(as_vector("mean", self.mean))
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
        state = {name: getattr(self, name) for name in self.__slots__}
        state["mean"] = self.mean.copy()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        for name in self.__slots__:
            setattr(self, name, state[name])
        self.mean = np.array(state["mean"], dtype=np.float64)
