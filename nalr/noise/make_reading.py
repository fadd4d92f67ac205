"""Averages to a reading: clamping, the ratio and the intervals come after averaging, never before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from nalr.noise.efficiency import Interval
from nalr.noise.efficiency import share as share_of
from nalr.noise.reading import NoiseReading, NoiseStatus
from nalr.statistics.averages import DecayedAverages
from nalr.statistics.intervals import fieller_interval, score_interval, student_t_quantile
from nalr.statistics.long_run import Covariance

UNKNOWN: Interval = (0.0, math.inf)
"""The interval of a non-negative quantity about which nothing is known."""


class Seen(NamedTuple):
    """What a reading says besides the estimates."""

    dimension: int
    num_rows: int
    batch_size: float
    nonfinite: int
    skipped: bool
    source: str


def make_reading(
    averages: DecayedAverages,
    covariance: Covariance | None,
    seen: Seen,
    population: int | None,
    confidence: float,
    groups: Mapping[str, NoiseReading],
) -> NoiseReading:
    """Clamp the averages, form their ratio and add intervals."""
    known = averages.state.count > 0
    share = 0.0 if population is None else 1.0 / population
    variance = averages.second
    signal = averages.first + share * variance
    intervals = _intervals(covariance, variance, signal, share, confidence)
    ratio, status = _ratio(variance, max(signal, 0.0), intervals)
    if not known:
        status = NoiseStatus.ONE_ROW if seen.num_rows == 1 else NoiseStatus.NO_DATA
    size, (low, high) = seen.batch_size, intervals.ratio
    return NoiseReading(
        noise_scale=math.sqrt(variance / seen.dimension),
        noise_scale_interval=_of_root(intervals.variance, seen.dimension),
        total_variance=variance,
        total_variance_interval=intervals.variance,
        signal=max(signal, 0.0) if known else math.nan,
        signal_interval=intervals.signal,
        gradient_noise_scale=ratio,
        gradient_noise_scale_interval=intervals.ratio,
        signal_fraction=_fraction(max(signal, 0.0), variance, size) if known else math.nan,
        signal_fraction_interval=(share_of(size, high), share_of(size, low)) if size > 0.0 else (0.0, 1.0),
        confidence=confidence,
        count=averages.state.count,
        num_rows=seen.num_rows,
        batch_size=size,
        nonfinite=seen.nonfinite,
        source=seen.source,
        status=NoiseStatus.SKIPPED if seen.skipped else status,
        groups=groups,
    )


class _Intervals(NamedTuple):
    """Intervals of tr Σ, |G|² and their ratio; none means anything unless `known`."""

    variance: Interval = UNKNOWN
    signal: Interval = UNKNOWN
    ratio: Interval = UNKNOWN
    known: bool = False


def _intervals(
    covariance: Covariance | None, variance: float, signal: float, share: float, confidence: float
) -> _Intervals:
    if covariance is None:
        return _Intervals()
    v = _with_population(covariance, share)
    t = student_t_quantile(confidence, v.degrees_of_freedom)
    u = student_t_quantile(confidence, v.first_freedom) if v.first_freedom else t
    # At a ratio r the variance of |G|² is first + slope · tr Σ/r: in Fieller's terms a covariance.
    tilted = v.both - 0.5 * v.slope * variance
    return _Intervals(
        score_interval(variance, v.second, 0.0, t),
        score_interval(signal, v.first, v.slope, u),
        fieller_interval(variance, signal, v.second, v.first, tilted, u),
        known=True,
    )


def _ratio(variance: float, signal: float, intervals: _Intervals) -> tuple[float, NoiseStatus]:
    """Return tr Σ/|G|², or its lower bound where |G|² may be zero, and which of them it is."""
    if intervals.known and math.isinf(intervals.ratio[1]) and variance > 0.0:
        return intervals.ratio[0], NoiseStatus.NO_SIGNAL
    ratio = variance / signal if signal > 0.0 else (math.inf if variance > 0.0 else math.nan)
    return ratio, NoiseStatus.OK if intervals.known else NoiseStatus.FEW


def _fraction(signal: float, variance: float, batch_size: float) -> float:
    """Return the share of |ḡ|² that is signal; 0 where both are zero."""
    power = signal + variance / batch_size
    return signal / power if power > 0.0 else 0.0


def _of_root(interval: Interval, dimension: int) -> Interval:
    return math.sqrt(interval[0] / dimension), math.sqrt(interval[1] / dimension)


def _with_population(v: Covariance, share: float) -> Covariance:
    """Return the covariance after the signal gained `share` times the variance."""
    return v._replace(
        first=v.first + 2.0 * share * v.both + share * share * v.second, both=v.both + share * v.second
    )
