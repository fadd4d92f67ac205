"""What an estimate of gradient noise says: numbers, intervals, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from nalr.averages import DecayedAverages
from nalr.intervals import fieller_interval, student_t_quantile
from nalr.long_run import FEWEST_BLOCKS, Covariance

Interval = tuple[float, float]
UNKNOWN: Interval = (0.0, math.inf)
"""The interval of a non-negative quantity about which nothing is known."""


class NoiseStatus(str, Enum):
    """What a reading is worth; the value is the sentence to show."""

    OK = "ok"
    NO_DATA = "no gradients seen yet"
    ONE_ROW = "one row and no step before it: the noise cannot be told from the signal yet"
    FEW = f"too few steps for intervals: they come from 4 rows or more, or after {FEWEST_BLOCKS} steps"
    NO_SIGNAL = "the signal is not distinguishable from zero: the gradient noise scale is a lower bound"
    SKIPPED = "the latest step held values that were not finite and was skipped"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class NoiseReading:
    """What the gradients so far say; handed out by `NoiseEstimator.reading`.

    Attributes
    ----------
    noise_scale : float
        √(tr Σ/D): root-mean-square over coordinates of the standard deviation of one sample's gradient.
    total_variance : float
        tr Σ of one sample's gradient.
    signal : float
        |G|², the squared norm of the expected gradient, without the noise's share; clamped at 0 here,
        after averaging.
    gradient_noise_scale : float
        tr Σ/|G|² in samples (B_simple of McCandlish et al. 2018): the batch size at which noise and
        signal are equal. A *lower bound* where `status` says so.
    signal_fraction : float
        ρ = |G|²/(|G|² + tr Σ/B) in [0, 1] for the latest batch size B: the share of |ḡ|² that is signal.
    *_interval : (float, float)
        Confidence interval of the quantity named, at the level asked for; (0, inf) where nothing tells yet.
    count : int
        Steps taken in.
    num_rows : int
        Rows of the latest step.
    nonfinite : int
        Gradient values that were nan or infinite; their steps took no part.
    source : str
        "rows": differences among the rows of a step, unbiased. "steps": change of the gradient from one
        step to the next, where a step has one row; high by the curvature's share ½|H·step|². "none".
    status : NoiseStatus
        What the numbers are worth, as a readable sentence.
    groups : mapping of str to NoiseReading
        The same for each group of coordinates asked for.
    """

    noise_scale: float
    noise_scale_interval: Interval
    total_variance: float
    total_variance_interval: Interval
    signal: float
    signal_interval: Interval
    gradient_noise_scale: float
    gradient_noise_scale_interval: Interval
    signal_fraction: float
    count: int
    num_rows: int
    nonfinite: int
    source: str
    status: NoiseStatus
    groups: Mapping[str, NoiseReading] = field(default_factory=dict)


class Seen(NamedTuple):
    """What an estimator has seen besides the averages: the record's own facts."""

    dimension: int
    num_rows: int
    batch_size: float
    nonfinite: int
    skipped: bool
    source: str


def make_reading(
    averages: DecayedAverages,
    seen: Seen,
    population: int | None,
    confidence: float,
    groups: Mapping[str, NoiseReading],
) -> NoiseReading:
    """Clamp, form the ratio and add intervals: the last step, after the raw values were averaged."""
    count = averages.state.count
    common = (count, seen.num_rows, seen.nonfinite, seen.source)
    if count == 0:
        status = NoiseStatus.ONE_ROW if seen.num_rows == 1 else NoiseStatus.NO_DATA
        status = NoiseStatus.SKIPPED if seen.skipped else status
        nan = math.nan
        return NoiseReading(
            nan, UNKNOWN, nan, UNKNOWN, nan, UNKNOWN, nan, UNKNOWN, nan, *common, status, groups
        )
    share = 0.0 if population is None else 1.0 / population
    variance = averages.second
    signal = averages.first + share * variance
    covariance = averages.covariance()
    variance_interval = signal_interval = ratio_interval = UNKNOWN
    if covariance is not None:
        v = _with_population(covariance, share)
        t = student_t_quantile(confidence, v.degrees_of_freedom)
        variance_interval = _interval(variance, v.second, t)
        signal_interval = _interval(signal, v.first, t)
        ratio_interval = fieller_interval(variance, signal, v.second, v.first, v.both, t)
    clamped = max(signal, 0.0)
    ratio = variance / clamped if clamped > 0.0 else (math.inf if variance > 0.0 else math.nan)
    status = NoiseStatus.OK if covariance is not None else NoiseStatus.FEW
    if covariance is not None and math.isinf(ratio_interval[1]) and variance > 0.0:
        ratio, status = ratio_interval[0], NoiseStatus.NO_SIGNAL
    power = clamped + variance / seen.batch_size
    return NoiseReading(
        math.sqrt(variance / seen.dimension),
        (math.sqrt(variance_interval[0] / seen.dimension), math.sqrt(variance_interval[1] / seen.dimension)),
        variance,
        variance_interval,
        clamped,
        signal_interval,
        ratio,
        ratio_interval,
        clamped / power if power > 0.0 else 0.0,
        *common,
        NoiseStatus.SKIPPED if seen.skipped else status,
        groups,
    )


def _interval(value: float, variance: float, t: float) -> Interval:
    """Return value ± t standard errors, of a quantity that cannot be negative."""
    width = t * math.sqrt(max(variance, 0.0))
    return max(value - width, 0.0), max(value + width, 0.0)


def _with_population(v: Covariance, share: float) -> Covariance:
    """Return the covariance after the signal gained `share` times the variance."""
    return Covariance(
        v.first + 2.0 * share * v.both + share * share * v.second,
        v.both + share * v.second,
        v.second,
        v.degrees_of_freedom,
    )
