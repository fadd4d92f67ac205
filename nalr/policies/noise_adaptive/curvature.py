"""How far along the parabola of its line a step of plain SGD goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr.moments.plain_step import is_plain_step
from nalr.moments.record import Moments


@dataclass(slots=True)
class StepCurvature:
    """κ of a step: 1 is the minimum of the step's line, 2 the edge of stability.

    With plain SGD and a fresh batch, ⟨ḡₜ, ḡₜ₋₁⟩ estimates the slope at the end of the last step and
    Q = |ḡₜ₋₁|² − tr Σ/B the slope at its start, both without bias, so their difference over η is
    GᵀHG + tr(HΣ)/B, and κ = η · average(Q − p)/average(|ḡ|² η). One row a step leaves Q unknown: |ḡ|² counts
    its noise as slope. It stands for Q where the loss is the witness: where, step by step, it changes by what
    the two slopes at the ends make of it, there is no noise to speak of.
    """

    reach: float | None = None  # κ at the present rate; None unless steps are plain SGD's, of several rows
    plain: bool = False  # the steps are those of plain SGD
    along_step: float | None = None  # curvature uᵀHu/|u|² along the steps u
    steep: float = 0.0  # slow average of κ within [−1, 3], over the steps before
    overshot: bool = False  # the last step ended further up the other side than it began on this
    loss_change: float = 0.0  # of the last step, by the trapezoid of its two slopes: no loss needed
    change: float = 0.0  # average of Q − ⟨ḡ, ḡ before⟩
    length: float = 0.0  # average of |ḡ before|² · its rate
    signal: float | None = None  # Q of the step before
    squared_norm: float = 0.0  # |ḡ|² of the step before
    foreign: int = 0  # plain steps still to be seen before κ is measured again
    several: bool = False  # the step before had several rows, so that Q is known
    loss: float = math.nan  # of the step before
    by_slopes: float = math.nan  # the loss change of the step before, by the slopes at its ends
    missed: float = 0.0  # average of how far the loss was off the change by the two slopes, …
    missed_late: float = 0.0  # … or off that of the step before, where losses come a step late
    expected: float = 0.0  # average size of these changes
    clear: bool = False  # the step before was nearly free of noise

    DECAY = 0.8
    """Memory of the two averages."""
    CLEAR = 0.9
    """Share of signal in |ḡ|² above which a step is nearly free of noise: gradients that shrink by their own
    steps would give the past too much weight, and κ would come out too low."""
    EXACT = 0.1
    """Share of the expected change of the loss that may be missed: noise that is more of |ḡ|² shows."""
    CLEAR_DECAY = 0.3
    """Memory of the averages after such a step."""
    SLOW_DECAY = 0.97
    """Memory of `steep`."""

    def update(self, moments: Moments, made: float, lr: float, loss: float) -> None:
        """Take in the step that led here, made with `made`, and return to κ at the present `lr`."""
        before = 0.0 if self.reach is None else min(max(self.reach, -1.0), 3.0)
        self.steep = self.SLOW_DECAY * self.steep + (1.0 - self.SLOW_DECAY) * before
        by_slopes = self._take(moments, made)
        self.plain = self.length > 0.0
        exact = self._compare(by_slopes, loss)
        known = self.plain and (moments.num_rows > 1 or exact)
        self.loss_change = by_slopes if self.plain and (self.several or exact) else self.loss_change
        bend = self.change / self.length if known else math.nan
        self.along_step = bend if math.isfinite(lr * bend) else None
        self.reach = None if self.along_step is None else lr * bend
        norm = self.squared_norm = moments.mean_squared_norm
        self.several = moments.num_rows > 1
        self.signal = moments.signal if self.several else norm
        self.clear = self.several and self.signal > self.CLEAR * norm

    def _take(self, moments: Moments, made: float) -> float:
        """Take in a step; return the loss change by the slopes at its ends, nan where that is not known."""
        self.overshot = False
        product = moments.step_product
        self.loss_change = 0.0 if math.isnan(product) or self.signal is None else -product
        if math.isnan(product) or self.signal is None:
            return math.nan
        if not is_plain_step(moments, made * made * self.squared_norm):
            self.change = self.length = 0.0
            self.foreign = 2
            return math.nan
        if self.foreign:  # one step of another optimizer may be as long by chance
            self.foreign -= 1
            return math.nan
        slope = product / made if made > 0.0 else 0.0
        if not math.isfinite(self.signal - slope) or not math.isfinite(self.squared_norm * made):
            return math.nan
        keep = self.CLEAR_DECAY if self.clear else self.DECAY
        self.change = keep * self.change + (1.0 - keep) * (self.signal - slope)
        self.length = keep * self.length + (1.0 - keep) * self.squared_norm * made
        self.overshot = slope < -self.squared_norm
        return -0.5 * made * (self.signal + slope)

    def _compare(self, by_slopes: float, loss: float) -> bool:
        """Return whether the loss changes as the slopes at both ends of each step say: there is no noise."""
        change, self.loss = loss - self.loss, loss
        late, self.by_slopes = self.by_slopes, by_slopes
        if not math.isfinite(change + by_slopes + late):
            self.missed = self.missed_late = self.expected = 0.0
            return False
        keep = self.DECAY
        self.missed = keep * self.missed + (1.0 - keep) * abs(change - by_slopes)
        self.missed_late = keep * self.missed_late + (1.0 - keep) * abs(change - late)
        self.expected = keep * self.expected + (1.0 - keep) * abs(by_slopes)
        return min(self.missed, self.missed_late) < self.EXACT * self.expected
