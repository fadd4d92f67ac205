"""What an estimate of gradient noise says: numbers, intervals, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from nalr import _checks
from nalr.noise.efficiency import BatchEfficiency, Interval, batch_efficiency
from nalr.noise.efficiency import share as part_of
from nalr.statistics.averages import DecayedAverages
from nalr.statistics.intervals import fieller_interval, score_interval, student_t_quantile
from nalr.statistics.long_run import FEWEST_BLOCKS, Covariance

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
        Confidence interval of the quantity named; (0, inf), for a fraction (0, 1), where nothing tells yet.
    confidence : float
        Share of such intervals that hold the truth. Before 8 steps they come from the rows within the steps,
        then from the averages' own course, and hold for correlated steps too.
    count : int
        Steps taken in.
    num_rows : int
        Rows of the latest step.
    batch_size : float
        B, its samples: the sum of its rows' weights.
    nonfinite : int
        Gradient values that were nan or infinite; their steps took no part.
    source : str
        "rows": differences among the rows of a step, unbiased. "steps": change of the gradient from one
        step to the next, where a step has one row. The step s between them leaves its mark: after a step of
        plain SGD tr Σ/B is high by η tr(HΣ)/B + ½|Hs|² and |G|² low by η(GᵀHG + tr(HΣ)/B), to second
        order in η. "steps, curvature removed": the same with `hessian_step`, unbiased where H is constant
        along the step. "none": nothing yet.
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
    signal_fraction_interval: Interval
    confidence: float
    count: int
    num_rows: int
    batch_size: float
    nonfinite: int
    source: str
    status: NoiseStatus
    groups: Mapping[str, NoiseReading] = field(default_factory=dict)

    def efficiency(self, batch_size: float | None = None) -> BatchEfficiency:
        """Return what a batch of another size would be worth: the trade of samples against steps.

        Parameters
        ----------
        batch_size : float, optional
            In samples, positive; the latest step's by default.

        Returns
        -------
        BatchEfficiency
            Shares of the best use of samples and of steps, with intervals; `str` of it is a line to read.

        Raises
        ------
        TypeError, ValueError
            If `batch_size` is not a positive number, or left out before the first step.

        Notes
        -----
        A function of `gradient_noise_scale` alone, and as biased as that ratio is on few steps; the shares
        are monotone in it, so their intervals cover as its interval does. Cost: a few flops. Source:
        McCandlish et al. 2018 (arXiv:1812.06162), whose trade is that of SGD-like steps at a tuned rate.

        Examples
        --------
        >>> from nalr import NoiseEstimator
        >>> reading = NoiseEstimator().update([[7.0, 1.0], [5.0, 1.0], [6.0, 0.0], [6.0, 2.0]]).reading()
        >>> print(f"{reading.gradient_noise_scale:.4f}")
        0.0364
        >>> print(reading.efficiency(4))
        batch 4: a sample does 1 % [1, 1] of what it can, a step 99 % [99, 99]; even at 0.0364 samples
        """
        size = self.batch_size if batch_size is None else batch_size
        return batch_efficiency(
            _checks.positive("batch_size", size),
            self.gradient_noise_scale,
            self.gradient_noise_scale_interval,
        )


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
    covariance: Covariance | None,
    seen: Seen,
    population: int | None,
    confidence: float,
    groups: Mapping[str, NoiseReading],
) -> NoiseReading:
    """Clamp, form the ratio and add intervals: the last step, after the raw values were averaged."""
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
        signal_fraction_interval=(part_of(size, high), part_of(size, low)) if size > 0.0 else (0.0, 1.0),
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
    """Intervals of tr Σ, |G|² and their ratio; all unknown where `told` is False."""

    variance: Interval = UNKNOWN
    signal: Interval = UNKNOWN
    ratio: Interval = UNKNOWN
    told: bool = False


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
        told=True,
    )


def _ratio(variance: float, signal: float, intervals: _Intervals) -> tuple[float, NoiseStatus]:
    """Return tr Σ/|G|², or its lower bound where |G|² may be zero, and which of them it is."""
    if intervals.told and math.isinf(intervals.ratio[1]) and variance > 0.0:
        return intervals.ratio[0], NoiseStatus.NO_SIGNAL
    ratio = variance / signal if signal > 0.0 else (math.inf if variance > 0.0 else math.nan)
    return ratio, NoiseStatus.OK if intervals.told else NoiseStatus.FEW


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
