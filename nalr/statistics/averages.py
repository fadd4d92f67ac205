"""Debiased averages of a pair of raw series, with a covariance that respects autocorrelation.

The pair is (|G|², tr Σ), one unbiased value of each a step, which may be negative. **Order matters**:
raw values are averaged here, and clamped by whoever reads, never before. At |G|² = .0025, tr Σ = 50 in 50
dimensions and 4 rows a step, clamping each step first averages to 1.1 (`tests/noise/test_estimator.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from nalr.statistics.blocks import Blocks
from nalr.statistics.long_run import Covariance, long_run_covariance
from nalr.statistics.within_step import Within, WithinSums


@dataclass(slots=True)
class _State:
    """All that changes besides the blocks and what the rows say."""

    count: int = 0  # steps taken in
    weight: float = 0.0  # Σ decay^age
    first: float = 0.0  # Σ decay^age · first
    second: float = 0.0


class DecayedAverages:
    """Averages Σ decay^age · value / Σ decay^age of two series: exact debiasing at every length.

    Parameters
    ----------
    decay : float
        Weight of a step relative to the next, in [0, 1).

    Notes
    -----
    The covariance comes from blocks of consecutive steps (`nalr.statistics.long_run`); before there are 8 of
    them, from the rows within the steps, where they bring it. Memory and cost a step are O(1).
    """

    __slots__ = ("blocks", "decay", "state", "within")

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.blocks = Blocks(decay)
        self.within = WithinSums()
        self.state = _State()

    def add(self, first: float, second: float, within: Within | None = None) -> None:
        """Take in one step; `within` is what its rows say of these two values."""
        s = self.state
        s.weight = self.decay * s.weight + 1.0
        s.first = self.decay * s.first + first
        s.second = self.decay * s.second + second
        s.count += 1
        if self.within.count or within:
            self.within.add(self.decay, within)
        self.blocks.add(first, second)

    @property
    def first(self) -> float:
        """The average of the first series; nan before a step."""
        return self.state.first / self.state.weight if self.state.weight else math.nan

    @property
    def second(self) -> float:
        """The average of the second series; nan before a step."""
        return self.state.second / self.state.weight if self.state.weight else math.nan

    def after(self, first: float, second: float) -> tuple[float, float]:
        """Return what the two averages would be after one more step."""
        s = self.state
        weight = self.decay * s.weight + 1.0
        return (self.decay * s.first + first) / weight, (self.decay * s.second + second) / weight

    def covariance(self) -> Covariance | None:
        """Return the covariance of the two averages, or None where nothing tells it yet."""
        s = self.state
        between = long_run_covariance(self.blocks, self.decay, s.count)
        if between is not None:
            return between
        if self.within.count == s.count > 0:
            return self.within.covariance(self.first, s.weight)
        return None

    def merge(self, other: DecayedAverages) -> None:
        """Pool the sums of another run over the same steps."""
        s, o = self.state, other.state
        if o.weight:
            self.blocks.merge(other.blocks, s.weight / (s.weight + o.weight))
        s.count = max(s.count, o.count)
        s.weight += o.weight
        s.first += o.first
        s.second += o.second
        self.within.merge(other.within)

    def copy(self) -> DecayedAverages:
        """Return an equal one that goes its own way."""
        twin = DecayedAverages(self.decay)
        twin.blocks = self.blocks.copy()
        twin.within = replace(self.within)
        twin.state = replace(self.state)
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and lists."""
        return {
            **{name: getattr(self.state, name) for name in self.state.__slots__},
            "within": {name: getattr(self.within, name) for name in self.within.__slots__},
            "blocks": self.blocks.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        fields = dict(state)
        self.blocks.load_state_dict(fields.pop("blocks"))
        self.within = WithinSums(**fields.pop("within"))
        self.state = _State(**fields)
