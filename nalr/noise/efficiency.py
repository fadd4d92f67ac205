"""The efficiency of a batch size at a gradient noise scale: the trade of samples against steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class BatchEfficiency:
    """How well a batch of a given size uses its samples, and how well its steps.

    With the gradient noise scale 𝓑 = tr Σ/|G|², a goal takes S steps of B samples, S = S_min (1 + 𝓑/B) and
    E = S·B = E_min (1 + B/𝓑) (McCandlish et al. 2018, arXiv:1812.06162, eq. 2.11 and D.5). The two shares
    add up to 1: at B = 𝓑 both are one half, the usual choice where time and samples cost alike.

    Attributes
    ----------
    batch_size : float
        B, in samples.
    samples : float
        E_min/E = 1/(1 + B/𝓑), in [0, 1]: what a sample achieves, against one in a tiny batch.
    samples_interval : (float, float)
        Its interval, at the level of the reading.
    steps : float
        S_min/S = 1/(1 + 𝓑/B), in [0, 1]: what a step achieves, against one without noise. Equal to the
        signal fraction ρ at this batch size.
    steps_interval : (float, float)
        Its interval.
    gradient_noise_scale : float
        𝓑, in samples; a lower bound where the signal is not distinguishable from zero.

    Examples
    --------
    >>> print(batch_efficiency(64.0, 256.0, (200.0, 320.0)))
    batch 64: a sample does 80 % [76, 83] of what it can, a step 20 % [17, 24]; even at 256 samples
    """

    batch_size: float
    samples: float
    samples_interval: Interval
    steps: float
    steps_interval: Interval
    gradient_noise_scale: float

    def __str__(self) -> str:
        if math.isnan(self.samples):
            return f"batch {self.batch_size:g}: nothing is known of the gradient noise scale yet"
        sample = _percent(self.samples, self.samples_interval)
        step = _percent(self.steps, self.steps_interval)
        bounded = self.steps_interval[0] > 0.0 or self.samples_interval == (0.0, 1.0)
        more = "" if bounded else " or more"
        return (
            f"batch {self.batch_size:g}: a sample does {sample} of what it can, a step {step}; "
            f"even at {self.gradient_noise_scale:.3g} samples{more}"
        )


def batch_efficiency(batch_size: float, gradient_noise_scale: float, interval: Interval) -> BatchEfficiency:
    """Return the efficiency of a batch size at a gradient noise scale, both in samples."""
    low, high = interval
    samples, steps = share(gradient_noise_scale, batch_size), share(batch_size, gradient_noise_scale)
    return BatchEfficiency(
        batch_size,
        samples,
        (share(low, batch_size), share(high, batch_size)),
        steps,
        (share(batch_size, high), share(batch_size, low)),
        gradient_noise_scale,
    )


def share(part: float, rest: float) -> float:
    """Return part/(part + rest) of two sizes that are not negative, either of which may be infinite."""
    if math.isinf(part):
        return 1.0
    return part / (part + rest) if part + rest > 0.0 else math.nan


def _percent(value: float, interval: Interval) -> str:
    low, high = interval
    ends = "" if (low, high) == (0.0, 1.0) else f" [{100.0 * low:.0f}, {100.0 * high:.0f}]"
    return f"{100.0 * value:.0f} %{ends}"
