"""The error of a decayed average of a correlated series: its long-run variance, from blocks of steps.

Formulas for independent steps are far too narrow on a run that remembers: at a correlation of .9 from step
to step their 95 % intervals hold the truth in a third of the cases (`nalr bench estimators`).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr.statistics.blocks import Blocks, Series

FEWEST_BLOCKS = 8
"""Below this many, the spread between blocks says too little."""

MOST_WAVES = 8
"""Waves that the long-run variance is averaged over, and its degrees of freedom. More would make intervals
narrower by some per cent and blinder to long memory: 12 cover 1 % less at a correlation of .9."""

GATE = 1.0
"""A correlation of less than so many standard errors 1/√N counts as none."""


FEWEST_FREEDOM = 1.5
"""Degrees of freedom on runs so short that next to none are left: t is then 6.2 at 95 %."""

LARGEST = 1e290
"""Squares up to here: sums over any run stay below the largest float."""


class Covariance(NamedTuple):
    """Covariance of the averages of the pair, and the degrees of freedom behind it.

    The variance of the first may grow with what it estimates: it is `first` + `slope` · truth. Its own
    degrees of freedom are `first_freedom`, or the common ones where that is 0.
    """

    first: float
    both: float
    second: float
    degrees_of_freedom: float
    slope: float = 0.0
    first_freedom: float = 0.0


def long_run_covariance(blocks: Blocks, decay: float, count: int) -> Covariance | None:
    """Return the covariance of the two decayed averages over `count` steps.

    None for too few blocks, and where squares of the values come near overflow.

    Var Σ wₜyₜ = ω² Σ wₜ² for weights that change slowly, ω² = Σₖ Cov(yₜ, yₜ₊ₖ) the long-run variance. The
    block means are projected on the slowest waves (cosines, orthogonal to the mean and to a linear trend),
    each of which has variance ω²/length (Müller 2007; Lazarus, Lewis, Stock & Watson 2018): their mean
    square estimates ω², with as many degrees of freedom as waves, or as effectively independent steps where
    these are fewer. On short runs the waves are too fast, and the weights change as fast as the series: both
    are corrected as for a series whose correlation falls as rᵏ, r being measured between neighbouring steps.
    On long runs both factors are near 1, whatever r is. Cost: some 50 µs.
    """
    full = blocks.complete()
    if len(full) < FEWEST_BLOCKS:
        return None
    means = np.array([(b.first.mean, b.second.mean) for b in full])
    squares = max(max(s.squares, s.changes) for b in full for s in (b.first, b.second))
    if not (squares < LARGEST and float(np.abs(means).max()) < math.sqrt(LARGEST)):  # also nan
        return None
    waves = _waves(len(full), min(MOST_WAVES, len(full) - 2))
    heights = waves @ means
    spread = blocks.length / len(waves) * (heights.T @ heights)
    (a, first_freedom), (b, second_freedom) = (
        _factor([getattr(block, name) for block in full], blocks.length, len(waves), decay, count)
        for name in ("first", "second")
    )
    return Covariance(
        a * float(spread[0, 0]),
        math.sqrt(a * b) * float(spread[0, 1]),
        b * float(spread[1, 1]),
        second_freedom,
        first_freedom=first_freedom,
    )


@lru_cache(maxsize=64)
def _waves(count: int, most: int) -> NDArray[np.float64]:
    """Return the slowest `most` waves over so many blocks, orthonormal, (most, count)."""
    time = (np.arange(count) + 0.5) / count
    columns = [np.ones(count), time, *(np.cos(math.pi * k * time) for k in range(2, 2 + most))]
    return np.linalg.qr(np.stack(columns, axis=1))[0][:, 2:].T.copy()


def _factor(
    series: list[Series], length: int, num_waves: int, decay: float, count: int
) -> tuple[float, float]:
    """Return Var(average)/ω̂² of one series, and the degrees of freedom of ω̂²."""
    r = _correlation(series, length)
    missed, freedom = 1.0, float(num_waves)
    if r > 0.0:
        stretch = (1.0 + r) / (1.0 - r)  # steps that say as much as one independent step
        steps = length * len(series)
        frequencies = np.arange(2, 2 + num_waves) / (2.0 * steps)
        spectrum = (1.0 - r) ** 2 / (1.0 - 2.0 * r * np.cos(2.0 * math.pi * frequencies) + r * r)
        missed = float(spectrum.mean()) * stretch
        freedom = min(freedom, max(steps / stretch - 2.0, FEWEST_FREEDOM))  # mean and trend take two
    total = (1.0 - decay**count) / (1.0 - decay)
    return _weighted_sum(decay, r, count) / (total * total * missed), freedom


def _correlation(series: list[Series], length: int) -> float:
    """Return the correlation of neighbouring steps about a linear trend, in [0, 1); 0 if it may be chance.

    From the mean squared change between neighbours, 2γ₀(1 − r) (von Neumann 1941); γ₀ is low by what mean
    and trend take, which r of N steps is then low by, (2 + 4r)/N.
    """
    n = len(series) * length
    means = np.array([s.mean for s in series])
    middle = length * (np.arange(len(series)) - 0.5 * (len(series) - 1))
    slope = float(middle @ means / (middle @ middle))
    squares = sum(s.squares for s in series) + length * float(((means - means.mean()) ** 2).sum())
    variance = squares / n - slope * slope * n * n / 12.0
    if variance <= 0.0:
        return 0.0
    change = sum(s.changes for s in series) / n - slope * slope
    r = 1.0 - change / (2.0 * variance)
    r = min(r + (2.0 + 4.0 * r) / n, 1.0 - 0.5 / math.sqrt(n))
    return r if r > GATE / math.sqrt(n) else 0.0


def _weighted_sum(decay: float, r: float, count: int) -> float:
    """Return Σᵢⱼ decay^(i+j) · r^|i−j| over i, j below `count`, in closed form."""
    last = decay**count
    if decay == 0.0 or r == 0.0:
        return (1.0 - last * last) / (1.0 - decay * decay)
    product = decay * r
    ahead = product * (1.0 - product ** (count - 1)) / (1.0 - product)
    return (1.0 - last * last + 2.0 * (ahead - _behind(decay, r, count))) / (1.0 - decay * decay)


def _behind(decay: float, r: float, count: int) -> float:
    """Return Σₖ rᵏ decay^(2·count − k) over k from 1 to count − 1, without a power above 1."""
    slow, fast = max(decay, r), min(decay, r)
    ends = (r * decay ** (2 * count - 1), r ** (count - 1) * decay ** (count + 1))
    if slow == fast:
        return (count - 1) * ends[0]
    largest = ends[0] if r < decay else ends[1]
    ratio = fast / slow
    return largest * (1.0 - ratio ** (count - 1)) / (1.0 - ratio)
