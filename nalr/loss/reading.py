"""A reading of the smoothed loss: value, slope, and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FEWEST_TO_TRUST = 30
"""From this count on 1.96 standard errors cover the slope 90 to 98 times in 100, with independent noise and
with lag-1 correlation .5 (`tests/loss`); at .8 from 50 losses on."""


class LossStatus(str, Enum):
    """Status of a reading; the value is the message to show."""

    OK = "ok"
    NO_LOSS = "no loss seen yet"
    TOO_FEW = "too few losses for a slope (needs 3)"
    ROUGH = f"few losses: the standard error may be too small (trust it from {FEWEST_TO_TRUST})"
    SKIPPED = "the latest loss was not finite and was skipped"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class LossReading:
    """The smoothed loss and its trend; returned by `LossSmoother.reading`.

    Attributes
    ----------
    value : float
        The smoothed loss; nan before the first.
    slope : float
        Change of the loss per step, along a line through the recent losses; nan below 3 losses.
    slope_standard_error : float
        Its standard error, with the correlation between neighbouring losses counted; nan below 3 losses.
    noise : float
        Standard deviation of the losses about that line; nan below 3 losses.
    lag : float
        By how many steps `value` trails a slow trend: alpha / (1 - alpha), plus the low-pass's delay.
    spikes : int
        Losses that the spike filter replaced.
    count : int
        Finite losses taken in.
    nonfinite : int
        Losses skipped because they were nan, infinite or beyond 8.9e307.
    status : LossStatus
        Whether the numbers can be relied on, as a readable sentence.
    """

    value: float
    slope: float
    slope_standard_error: float
    noise: float
    lag: float
    spikes: int
    count: int
    nonfinite: int
    status: LossStatus
