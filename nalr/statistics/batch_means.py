"""The mean of a correlated series and an interval for it that holds: batch means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nalr.statistics.intervals import student_t_quantile

FEWEST_BATCHES = 16
"""Batches in the window, once there are as many: 16 to 32. Between 10 and 30 is where more buy little and
longer ones keep the assumption (Schmeiser 1982)."""


class MeanReading(NamedTuple):
    """Mean of the window with its interval, nan while there are too few batches, and the window's length."""

    mean: float
    low: float
    high: float
    length: int


@dataclass(slots=True)
class _State:
    """All that changes."""

    length: int = 1  # values in a full batch
    sums: list[float] = field(default_factory=list)  # of the full batches, oldest first
    total: float = 0.0  # of the batch that is filling
    count: int = 0  # … and how many values it has


class BatchMeans:
    """Mean of the newest share of a series, with a confidence interval that counts its autocorrelation.

    The window is cut into batches of equal length, long enough that their means hardly correlate, and
    Student's t of those means gives the interval. The formula for independent values, s/√N, is too narrow by
    √((1 + φ)/(1 − φ)) at a lag-1 correlation of φ, 4.4 times at .9.

    Parameters
    ----------
    share : float
        Share of the values since the reset that the window keeps, in (0, 1]: the older ones are still on the
        way to where the series settles.

    Notes
    -----
    Constant memory: when there are twice as many batches as the window needs, neighbours are joined. An
    update takes O(1), a reading one pass over the window's batches.

    Examples
    --------
    >>> series = BatchMeans(share=1.0)
    >>> for value in range(32):
    ...     series.update(float(value % 2))
    >>> series.reading(0.95)
    MeanReading(mean=0.5, low=0.5, high=0.5, length=32)
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._most = 2 * math.ceil(FEWEST_BATCHES / share)
        self._state = _State()

    def update(self, value: float) -> None:
        """Take in one value."""
        s = self._state
        s.total += value
        s.count += 1
        if s.count < s.length:
            return
        s.sums.append(s.total)
        s.total, s.count = 0.0, 0
        if len(s.sums) == self._most:
            s.sums = [a + b for a, b in zip(s.sums[::2], s.sums[1::2], strict=True)]
            s.length *= 2

    def reading(self, confidence: float) -> MeanReading:
        """Return the mean over the window and its interval at this level, in (0, 1)."""
        s = self._state
        batches = math.ceil(self.share * len(s.sums))
        means = [total / s.length for total in s.sums[len(s.sums) - batches :]]
        length = batches * s.length
        if batches < FEWEST_BATCHES:
            return MeanReading(math.nan, math.nan, math.nan, length)
        mean = math.fsum(means) / batches
        variance = math.fsum((m - mean) * (m - mean) for m in means) / (batches - 1)
        reach = student_t_quantile(confidence, batches - 1.0) * math.sqrt(variance / batches)
        return MeanReading(mean, mean - reach, mean + reach, length)

    def reset(self) -> None:
        """Forget everything."""
        self._state = _State()

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and a list."""
        s = self._state
        return {"length": s.length, "sums": list(s.sums), "total": s.total, "count": s.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**{**state, "sums": list(state["sums"])})
