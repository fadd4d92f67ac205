"""The slope of a noisy series, from an exponentially weighted least-squares line in constant memory.

The line is carried as its height and slope at the newest loss and corrected by each prediction error, so
no sum holds t**2 or loss**2: an offset of 1e8 or a million steps cost no digits.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nalr import kernels

LARGEST_CORRELATION = 0.95
"""Cap of the residual correlation. At 1 the residuals are a random walk and the error would be infinite; .95
widens it 6 times, enough to make no such slope significant."""

COMPILED_FROM = 64
"""Losses from which on the compiled loop is faster. Used only if Numba is imported already: importing it
takes longer than a million losses."""

SETTLED_TIME_CONSTANTS = 45
"""After this many time constants the gains differ from their limits by u² e^-u < 1e-16 of themselves."""


class TrendReading(NamedTuple):
    """Slope, its error and the noise: see `LossReading`."""

    slope: float
    standard_error: float
    noise: float


@dataclass(slots=True)
class TrendState:
    """The line, its residuals, and the weighted ages (0 = newest) that decide its gains; all scalars."""

    count: int = 0  # losses behind the line
    level: float = 0.0  # height of the line at the newest loss
    slope: float = 0.0  # per step
    square: float = 0.0  # weighted sum of squared residuals
    cross: float = 0.0  # weighted sum of products of neighbouring prediction errors
    previous: float = 0.0  # the last prediction error
    weight: float = 0.0  # sum of w = decay**age
    age: float = 0.0  # mean age under w
    spread: float = 0.0  # sum of w (age - mean)²
    weight2: float = 0.0  # the same three under w²: the weights with which noise enters the slope
    age2: float = 0.0
    spread2: float = 0.0


def aged(weight: float, age: float, spread: float, decay: float) -> tuple[float, float, float]:
    """Return sum, mean and spread of the ages a step later: all grow by 1, fade by `decay`, and 0 joins."""
    kept = decay * weight
    share = kept / (kept + 1.0)
    return kept + 1.0, share * (age + 1.0), decay * spread + share * (age + 1.0) * (age + 1.0)


class Trend:
    """Exponentially weighted least-squares line through a series, one loss at a time.

    Parameters
    ----------
    decay : float
        Weight of a loss relative to the next, in (0, 1). The line remembers about 1/(1 - decay) losses.

    Notes
    -----
    Recursive least squares with forgetting, exact at every length (not only in the limit, where it is
    Brown's double exponential smoothing). Cost: about 0.1 µs a loss once the gains have settled.
    """

    __slots__ = ("decay", "settled", "state")

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.settled = math.ceil(SETTLED_TIME_CONSTANTS / (1.0 - decay))
        self.state = TrendState()

    def fold(self, losses: Sequence[float]) -> None:
        """Fold in finite `losses`; the result does not depend on how they are split into calls."""
        index = 0
        while index < len(losses) and self.state.count < self.settled:
            self._grow(losses[index])
            index += 1
        if index < len(losses):
            self._glide(losses[index:])

    def restart(self, loss: float) -> None:
        """Begin a new line at `loss`: the square of an error beyond 1e154 is inf, which would stay."""
        self.state = TrendState(count=1, level=loss, weight=1.0, weight2=1.0)

    def _grow(self, loss: float) -> None:
        """Fold one loss while the gains still change."""
        s = self.state
        if s.count == 0:
            return self.restart(loss)
        kept, kept_spread, age = self.decay * s.weight, self.decay * s.spread, s.age + 1.0
        # 1 - leverage of the newest loss, written without a subtraction: 0 for two losses, then rising.
        outside = kept * kept_spread / (kept * kept_spread + kept_spread + kept * age * age)
        error = loss - (s.level + s.slope)
        weighted = outside * error
        square = self.decay * s.square + weighted * error
        if not square < math.inf:
            return self.restart(loss)
        s.weight, s.age, s.spread = aged(s.weight, s.age, s.spread, self.decay)
        s.weight2, s.age2, s.spread2 = aged(s.weight2, s.age2, s.spread2, self.decay * self.decay)
        s.level = loss - weighted
        s.slope += s.age / s.spread * error
        s.square = square
        s.cross = self.decay * s.cross + weighted * s.previous
        s.previous = error
        s.count += 1

    def _glide(self, losses: Sequence[float]) -> None:
        """Fold losses at the settled gains, in local variables: twice as fast as attributes."""
        s = self.state
        decay = self.decay
        outside = decay * decay
        slope_gain = (1.0 - decay) * (1.0 - decay)
        line = (s.level, s.slope, s.square, s.cross, s.previous)
        fold = _glide_compiled if len(losses) >= COMPILED_FROM and "numba" in sys.modules else _glide
        level, slope, square, cross, previous = fold(line, losses, decay, outside, slope_gain)
        if square < math.inf:
            s.level, s.slope, s.square, s.cross, s.previous = level, slope, square, cross, previous
            s.count += len(losses)
        elif len(losses) == 1:
            self.restart(losses[0])
        else:  # one check a block, since inf and nan stay; find the loss and restart there
            for loss in losses:
                self.fold([loss])

    def correlation(self) -> float:
        """Return the lag-1 correlation of the noise, in [0, 0.95].

        Prediction errors of the line under-state it by .75 (1 + φ)/τ to first order in 1/τ, τ the sum of
        the weights, and a correlation of n = weight²/weight2 values by a further 2 φ/n; both are undone.
        Negative values count as 0, so that they never narrow the standard error.
        """
        s = self.state
        if not s.square > 0.0:
            return 0.0
        bias = 0.75 / s.weight
        ratio = 2.0 * s.weight2 / (s.weight * s.weight)
        corrected = (s.cross / s.square + bias) / max(1.0 - bias - ratio, 0.5)
        return min(max(corrected, 0.0), LARGEST_CORRELATION)

    def reading(self) -> TrendReading:
        """Return the slope per step, its standard error and the noise; nan for fewer than 3 losses.

        The noise is taken as equal at all ages: the slope's variance is noise² Σw²(a-ā)²/(Σw(a-ā)²)², a
        quarter, in the limit, of what weighted-regression software reports, which takes w as 1/variance.
        """
        s = self.state
        if s.count < 3:
            return TrendReading(math.nan, math.nan, math.nan)
        correlation = self.correlation()
        widening = (1.0 + correlation) / (1.0 - correlation)
        centre = s.age2 - s.age
        noise_spread = s.spread2 + s.weight2 * centre * centre
        absorbed = s.weight2 / s.weight + noise_spread / s.spread  # degrees of freedom of the line
        free = max(s.weight - absorbed * widening, 0.5 * (s.weight - absorbed))
        noise = math.sqrt(s.square) / math.sqrt(free)
        return TrendReading(s.slope, noise * math.sqrt(noise_spread * widening) / s.spread, noise)


Line = tuple[float, float, float, float, float]
"""Level, slope, sum of squares, of cross products, previous prediction error."""


def _glide(line: Line, losses: Sequence[float], decay: float, outside: float, slope_gain: float) -> Line:
    """Return `line` after `losses`, at gains that no longer change."""
    level, slope, square, cross, previous = line
    for loss in losses:
        error = loss - (level + slope)
        weighted = outside * error
        level = loss - weighted
        slope += slope_gain * error
        square = decay * square + weighted * error
        cross = decay * cross + weighted * previous
        previous = error
    return level, slope, square, cross, previous


def _glide_compiled(
    line: Line, losses: Sequence[float], decay: float, outside: float, slope_gain: float
) -> Line:
    """Do what `_glide` does, to the bit, in a fifth of the time."""
    array = np.array(line)
    kernels.trend.glide(array, np.array(losses, dtype=np.float64), decay, outside, slope_gain)
    level, slope, square, cross, previous = array.tolist()
    return level, slope, square, cross, previous
