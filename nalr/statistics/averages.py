"""Debiased averages of a pair of raw series, with a covariance that respects autocorrelation.

**Order matters**: raw values, which may be negative, are averaged here, and clamped only on reading. Clamped
first, a mean keeps what chance put above zero and loses what it put below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from nalr import _state
from nalr.statistics.blocks import Blocks
from nalr.statistics.long_run import Covariance, long_run_covariance


@dataclass(slots=True)
class _Sums:
    """All that changes besides the blocks."""

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

    Attributes
    ----------
    first, second : float
        The averages; nan before a step.

    Notes
    -----
    The covariance comes from blocks of consecutive steps (`nalr.statistics.long_run`). Memory and cost a step
    are O(1).
    """

    __slots__ = ("blocks", "decay", "first", "second", "state")

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.blocks = Blocks(decay)
        self.state = _Sums()
        self.first = self.second = math.nan

    def add(self, first: float, second: float) -> None:
        """Take in one step."""
        s = self.state
        s.weight = self.decay * s.weight + 1.0
        s.first = self.decay * s.first + first
        s.second = self.decay * s.second + second
        s.count += 1
        self._divide()
        self.blocks.add(first, second)

    def _divide(self) -> None:
        s = self.state
        if s.weight:
            self.first, self.second = s.first / s.weight, s.second / s.weight

    def after(self, first: float, second: float) -> tuple[float, float]:
        """Return what the two averages would be after one more step."""
        s = self.state
        weight = self.decay * s.weight + 1.0
        return (self.decay * s.first + first) / weight, (self.decay * s.second + second) / weight

    def covariance(self) -> Covariance | None:
        """Return the covariance of the two averages; None where the steps are too few to say."""
        return long_run_covariance(self.blocks, self.decay, self.state.count)

    def merge(self, other: DecayedAverages) -> None:
        """Pool the sums of another run over the same steps."""
        s, o = self.state, other.state
        if o.weight:
            self.blocks.merge(other.blocks, s.weight / (s.weight + o.weight))
        s.count = max(s.count, o.count)
        s.weight += o.weight
        s.first += o.first
        s.second += o.second
        self._divide()

    def copy(self) -> DecayedAverages:
        """Return an equal one that does not share state."""
        twin = DecayedAverages(self.decay)
        twin.blocks = self.blocks.copy()
        twin.state = replace(self.state)
        twin._divide()
        return twin

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and lists."""
        return {**_state.fields_to_dict(self.state), "blocks": self.blocks.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.blocks.load_state_dict(state["blocks"])
        self.state = _Sums()
        _state.fields_from_dict(self.state, state)
        self.first = self.second = math.nan
        self._divide()
