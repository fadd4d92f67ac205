"""The reading of the noise estimator: numbers, intervals and status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from nalr import _checks
from nalr.noise.efficiency import BatchEfficiency, Interval, batch_efficiency
from nalr.statistics.long_run import FEWEST_BLOCKS


class NoiseStatus(str, Enum):
    """How far a reading can be trusted; the value is the sentence to show."""

    OK = "ok"
    NO_DATA = "no gradients seen yet"
    ONE_ROW = "one row and no step before it: the noise cannot be separated from the signal yet"
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
        Confidence interval of the quantity named; (0, inf), for a fraction (0, 1), while it is unknown.
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
        step of one row to the next, biased by the curvature along the step (docs/noise.md says how much).
        "steps, curvature removed": the same with `hessian_step`, unbiased where H is constant along the
        step. "none": nothing yet.
    status : NoiseStatus
        How far the numbers can be trusted, as a readable sentence.
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
        """Return the efficiency of a batch of another size: the trade of samples against steps.

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
