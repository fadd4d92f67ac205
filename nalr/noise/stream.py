"""Steps to averages of |G|² and tr Σ: what `NoiseEstimator` does behind its input checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr import _state
from nalr.arrays.gradients import Gradients
from nalr.moments.record import Moments
from nalr.noise.columns import PooledColumns
from nalr.noise.make_reading import Seen, make_reading
from nalr.noise.reading import NoiseReading
from nalr.noise.step import Step, WholeStep
from nalr.noise.within_step import Within, WithinSums
from nalr.statistics.averages import DecayedAverages
from nalr.statistics.long_run import FEWEST_BLOCKS, Covariance

Vector = NDArray[np.float64]


class Estimates(NamedTuple):
    """Unbiased estimates from one step, not clamped: |G|² and tr Σ of a sample, and what they come from."""

    signal: float
    variance: float
    source: str
    within: Within | None


@dataclass(slots=True)
class _State:
    """What is kept of the steps before the latest, besides their averages."""

    nonfinite: int = 0
    skipped: bool = False  # whether the last of them was not finite
    source: str = "none"
    num_rows: int = 0  # of the last finite one
    batch_size: float = 0.0  # its total weight
    squared_norm: float = math.nan  # its |ḡ|²


class Stream:
    """The latest step, and the averages over those before; a group of columns has a stream of its own."""

    __slots__ = ("averages", "columns", "decay", "groups", "parts", "population", "state", "step", "within")

    def __init__(
        self,
        decay: float,
        population: int | None,
        groups: Mapping[str, slice],
        per_coordinate: bool = False,
    ) -> None:
        self.decay, self.population, self.groups = decay, population, groups
        self.state = _State()
        self.step = Step()
        self.averages = DecayedAverages(decay)
        self.within: WithinSums | None = WithinSums()  # None once a step's rows show nothing of its errors
        self.columns = PooledColumns() if per_coordinate else None
        self.parts = {name: Stream(decay, population, {}) for name in groups}

    def add(self, row: Gradients, weight: float) -> None:
        """Fold in one row of the present step."""
        if self.step.ended:
            self._take(self.step.close())
        self.step.add(row, weight)
        if self.columns is not None:
            self.columns.update(row)
        for name, part in self.parts.items():
            part.add(row.columns(self.groups[name]), weight)

    def update(self, rows: Gradients | None, weights: Vector | None, moved: Vector | None) -> None:
        """Fold in the rows, if there are some, and end the step; `moved` is H·step, scaled like the rows."""
        if rows is not None:
            if self.step.ended:
                self._take(self.step.close())
            self.step.add_rows(rows, weights, self.averages.state.count < FEWEST_BLOCKS, self.population)
            if self.columns is not None:
                self.columns.update(rows)
        self.step.ended, self.step.moved = True, moved
        for name, part in self.parts.items():
            columns = self.groups[name]
            here = None if rows is None else rows.columns(columns)
            part.update(here, weights, None if moved is None else moved[columns])

    def update_moments(self, moments: Moments) -> None:
        """Take in a whole step, of which the sums are all that is known."""
        if self.step.ended:
            self._take(self.step.close())
        self._take(WholeStep(moments, moments.estimates(), moments.mean_squared_norm))

    def _take(self, step: WholeStep) -> None:
        """Let a step become part of the averages."""
        s, moments = self.state, step.moments
        s.nonfinite += moments.nonfinite
        s.skipped = step.unbiased is None
        if s.skipped:
            return
        estimates = self._estimates(step)
        s.num_rows, s.batch_size = moments.num_rows, moments.total_weight
        s.squared_norm = moments.mean_squared_norm
        if estimates is None:
            return
        s.source = estimates.source
        self.averages.add(estimates.signal, estimates.variance)
        if self.within is not None:
            self.within = self.within.added(self.decay, estimates.within)

    def _estimates(self, step: WholeStep) -> Estimates | None:
        """Return a step's estimates; None where it is not finite, or one row has nothing to be compared with.

        One row: E|gₜ − gₜ₋₁|² = tr Σ (1/wₜ + 1/wₜ₋₁) and E⟨gₜ, gₜ₋₁⟩ = |G|², but for what the step s between
        them changes: NoiseReading's `source` has it. With Hs known, gₜ + Hs is a gradient at the point of
        gₜ₋₁ with a noise of its own (on a quadratic; else to second order): both are unbiased again.
        """
        s, moments = self.state, step.moments
        if step.unbiased is None:
            return None
        if moments.num_rows > 1:
            return Estimates(*step.unbiased, "rows", step.within)
        product = moments.previous_product
        if math.isnan(product) or math.isnan(s.squared_norm):
            return None
        change = max(step.square + s.squared_norm - 2.0 * product, 0.0)
        variance = change / (1.0 / moments.total_weight + 1.0 / s.batch_size)
        source = "steps, curvature removed" if step.corrected else "steps"
        return Estimates(product, variance, source, step.within)

    def _latest(self) -> Estimates | None:
        """Return the estimates of a step that has ended but is not in the averages yet."""
        return self._estimates(self.step.whole()) if self.step.ended else None

    def values(self) -> tuple[float, float]:
        """Return the averages (|G|², tr Σ) with the latest step in them."""
        latest = self._latest()
        if latest is None:
            return self.averages.first, self.averages.second
        return self.averages.after(latest.signal, latest.variance)

    def reading(self, dimension: int, confidence: float) -> NoiseReading:
        """Return the estimates of the steps so far; the latest step stays open to `merge`."""
        latest = self._latest()
        averages, covariance = self._ended(latest)
        groups = {
            name: part.reading(len(range(dimension)[self.groups[name]]) or 1, confidence)
            for name, part in self.parts.items()
        }
        seen = self._seen(dimension, latest)
        return make_reading(averages, covariance, seen, self.population, confidence, groups)

    def _ended(self, latest: Estimates | None) -> tuple[DecayedAverages, Covariance | None]:
        """Return the averages with the latest step in them, and their covariance."""
        averages, within = self.averages, self.within
        if latest is not None:
            averages = averages.copy()
            averages.add(latest.signal, latest.variance)
            if within is not None:
                within = within.added(self.decay, latest.within)
        covariance = averages.covariance()
        if covariance is None and within is not None and averages.state.count:
            covariance = within.covariance(averages.first, averages.state.weight)
        return averages, covariance

    def _seen(self, dimension: int, latest: Estimates | None) -> Seen:
        s = self.state
        source = s.source if latest is None else latest.source
        seen = Seen(dimension, s.num_rows, s.batch_size, s.nonfinite, s.skipped, source)
        if not self.step.ended:
            return seen
        moments = self.step.sums()
        seen = seen._replace(nonfinite=s.nonfinite + moments.nonfinite, skipped=not moments.usable)
        if seen.skipped:
            return seen
        return seen._replace(num_rows=moments.num_rows, batch_size=moments.total_weight)

    def merge(self, other: Stream) -> None:
        """Fold in what another stream saw of the same steps."""
        self.averages.merge(other.averages)
        if self.within is not None:
            self.within = self.within.merged(other.within)
        self.step.merge(other.step)
        self.state.nonfinite += other.state.nonfinite
        if self.state.source == "none":
            self.state.source = other.state.source
        if self.columns is not None and other.columns is not None:
            self.columns.merge(other.columns)
        for name, part in self.parts.items():
            part.merge(other.parts[name])

    def state_dict(self) -> dict[str, Any]:
        """Return the state as numbers, strings, lists, dicts and NumPy arrays."""
        return {
            "state": _state.fields_to_dict(self.state),
            "step": self.step.state_dict(),
            "averages": self.averages.state_dict(),
            "within": None if self.within is None else list(self.within),
            "columns": None if self.columns is None else self.columns.state_dict(),
            "groups": {name: part.state_dict() for name, part in self.parts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        _state.fields_from_dict(self.state, state["state"])
        self.step.load_state_dict(state["step"])
        self.averages.load_state_dict(state["averages"])
        self.within = None if state["within"] is None else WithinSums(*state["within"])
        if self.columns is not None:
            self.columns.load_state_dict(state["columns"])
        for name, part in self.parts.items():
            part.load_state_dict(state["groups"][name])
