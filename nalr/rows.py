"""The rows of one step, folded into the sums of a `Moments` record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr.moments import Moments, checked_weights

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

    def add(self, row: NDArray[Any], weight: float = 1.0) -> None:
        """Fold in one checked row (D,)."""
        from nalr.kernels import moments as kernels

        if not self.mean.size:
            self.mean = np.zeros(row.size)
        if self.num_rows == 0:
            self.mean[:] = row
        else:
            self.sum_squares += kernels.merge_mean(self.mean, self.total_weight, row, weight)
        self.num_rows += 1
        self.total_weight += weight
        if not math.isfinite(kernels.dot(row, row)):
            self.nonfinite += kernels.count_nonfinite(row)

    def add_rows(self, rows: NDArray[Any], weights: ArrayLike | None = None) -> None:
        """Fold in checked rows (B, D) in one pass."""
        from nalr.kernels import moments as kernels

        if not self.mean.size:
            self.mean = np.empty(rows.shape[1])
        shares = np.ones(len(rows)) if weights is None else np.array(checked_weights(weights, len(rows)))
        mean = self.mean if self.num_rows == 0 else np.empty_like(self.mean)
        spread, norm = kernels.batch_moments(mean, rows, shares)
        bad = 0 if math.isfinite(spread) and math.isfinite(norm) else kernels.count_nonfinite(rows)
        self._join(mean, len(rows), float(shares.sum()), spread, bad)

    def merge(self, other: RowAccumulator) -> None:
        """Fold in the rows that another accumulator took at the same parameters."""
        if other.num_rows == 0:
            return
        if not self.mean.size:
            self.mean = np.empty_like(other.mean)
        if self.num_rows == 0:
            self.mean[:] = other.mean
            mean = self.mean
        else:
            mean = other.mean
        self._join(mean, other.num_rows, other.total_weight, other.sum_squares, other.nonfinite)

    def _join(self, mean: Vector, num_rows: int, weight: float, spread: float, nonfinite: int) -> None:
        if self.num_rows:
            from nalr.kernels import moments as kernels

            self.sum_squares += kernels.merge_mean(self.mean, self.total_weight, mean, weight)
        self.sum_squares += spread
        self.num_rows += num_rows
        self.total_weight += weight
        self.nonfinite += nonfinite

    def moments(self) -> Moments:
        """Return the sums of the rows so far."""
        from nalr.kernels import moments as kernels

        norm = kernels.dot(self.mean, self.mean)
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
