"""The latest step of the noise estimator: its rows, and what is needed of the step before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr.arrays import passes
from nalr.arrays.gradients import Gradients
from nalr.moments.record import Moments
from nalr.moments.rows import RowAccumulator
from nalr.noise.jackknife import within_step_covariance
from nalr.noise.within_step import Within

Vector = NDArray[np.float64]


class WholeStep(NamedTuple):
    """What the estimates of a step are made from."""

    moments: Moments
    unbiased: tuple[float, float] | None  # `Moments.estimates`
    square: float  # |g|² that a one-row step is judged by
    corrected: bool = False  # whether the curvature between a one-row step and the one before is removed
    within: Within | None = None  # what the rows show of the errors


class Step:
    """Rows of the latest step, and the mean of the one before, which a step of one row is compared with.

    A step that has ended stays here until the next begins, so that the rows of others can still be merged.
    """

    __slots__ = ("_before", "_rows", "_sums", "_within", "ended", "moved")

    def __init__(self) -> None:
        self.ended = False
        self.moved: Vector | None = None  # H·step between the step before and this one, where given
        self._rows = RowAccumulator()
        self._before = RowAccumulator()
        self._within: Within | None = None
        self._sums: Moments | None = None  # of the rows, once they are asked for

    @property
    def dimension(self) -> int:
        """D; 0 without rows of a step that has not ended."""
        return self._rows.mean.size if self._rows.num_rows and not self.ended else 0

    def add(self, row: Gradients, weight: float) -> None:
        """Fold in one checked row."""
        self._rows.add(row, weight)
        self._within = self._sums = None

    def add_rows(
        self, rows: Gradients, weights: Vector | None, look_within: bool, population: int | None
    ) -> None:
        """Fold in checked rows; if they are all, and if asked, see what they show of the errors."""
        alone = self._rows.num_rows == 0
        self._rows.add_rows(rows, weights)
        self._within = self._sums = None
        if alone and look_within and self._rows.nonfinite == 0:
            within = within_step_covariance(rows, self._rows.mean, self.sums(), weights)
            if within is not None and population is not None:
                within = within.of_sample(self._rows.total_weight / population)
            self._within = within

    def sums(self) -> Moments:
        """Return the sums of the rows."""
        if self._sums is None:
            self._sums = self._rows.moments()
        return self._sums

    def whole(self) -> WholeStep:
        """Return the step as it stands, one row together with what compares it with the step before."""
        moments = self.sums()
        unbiased, square = moments.estimates(), moments.mean_squared_norm
        if moments.num_rows == 1 and unbiased is not None and self._before.num_rows:
            gradient = self._rows.mean
            if self.moved is not None:
                gradient = gradient + self.moved  # what it would be where the one before was taken
                square = passes.inner_product(gradient, gradient)
            moments = moments._replace(previous_product=passes.inner_product(gradient, self._before.mean))
        return WholeStep(moments, unbiased, square, self.moved is not None, self._within)

    def close(self) -> WholeStep:
        """Return the step, and make it the one before."""
        step = self.whole()
        if step.unbiased is not None:  # a step that is not finite is nothing to compare the next one with
            self._rows, self._before = self._before, self._rows
        self._rows.reset()
        self.moved = self._within = self._sums = None
        self.ended = False
        return step

    def merge(self, other: Step) -> None:
        """Fold in the rows of another's latest step, taken at the same parameters."""
        self._rows.merge(other._rows)
        self._within = self._sums = None
        self.ended = self.ended or other.ended
        self.moved = self.moved if other.moved is None else other.moved

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        return {
            "ended": self.ended,
            "moved": None if self.moved is None else self.moved.copy(),
            "rows": self._rows.state_dict(),
            "before": self._before.state_dict(),
            "within": None if self._within is None else list(self._within),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.ended = state["ended"]
        self.moved = None if state["moved"] is None else np.array(state["moved"])
        self._rows.load_state_dict(state["rows"])
        self._before.load_state_dict(state["before"])
        self._within = None if state["within"] is None else Within(*state["within"])
        self._sums = None
