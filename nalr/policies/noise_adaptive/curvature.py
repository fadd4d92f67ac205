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
    GᵀHG + tr(HΣ)/B, and κ = η · average(Q − p)/average(|ḡ|² η). One row a step leaves Q unknown; |ḡ|² stands
    for it then, which makes κ an upper bound.
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
    clear: bool = False  # the step before was nearly free of noise

    DECAY = 0.8
    """Memory of the two averages."""
    CLEAR = 0.9
    """Share of signal in |ḡ|² above which a step is nearly free of noise: gradients that shrink by their own
    steps would give the past too much weight, and κ would come out too low."""
    CLEAR_DECAY = 0.3
    """Memory of the averages after such a step."""
    SLOW_DECAY = 0.97
    """Memory of `steep`."""

    def update(self, moments: Moments, made: float, lr: float) -> None:
        """Take in the step that led here, made with `made`, and return to κ at the present `lr`."""
        before = 0.0 if self.reach is None else min(max(self.reach, -1.0), 3.0)
        self.steep = self.SLOW_DECAY * self.steep + (1.0 - self.SLOW_DECAY) * before
        self._take(moments, made)
        self.plain = self.length > 0.0
        bend = self.change / self.length if self.plain and moments.num_rows > 1 else math.nan
        self.along_step = bend if math.isfinite(lr * bend) else None
        self.reach = None if self.along_step is None else lr * bend
        norm = self.squared_norm = moments.mean_squared_norm
        self.several = moments.num_rows > 1
        self.signal = moments.signal if self.several else norm
        self.clear = self.several and self.signal > self.CLEAR * norm

    def _take(self, moments: Moments, made: float) -> None:
        self.overshot, self.loss_change = False, 0.0
        product = moments.step_product
        if math.isnan(product) or self.signal is None:
            return
        if not is_plain_step(moments, made * made * self.squared_norm):
            self.change = self.length = 0.0
            self.loss_change = -product
            self.foreign = 2
            return
        if self.foreign:  # one step of another optimizer may be as long by chance
            self.foreign -= 1
            self.loss_change = -product
            return
        slope = product / made if made > 0.0 else 0.0
        if not math.isfinite(self.signal - slope) or not math.isfinite(self.squared_norm * made):
            return
        keep = self.CLEAR_DECAY if self.clear else self.DECAY
        self.change = keep * self.change + (1.0 - keep) * (self.signal - slope)
        self.length = keep * self.length + (1.0 - keep) * self.squared_norm * made
        self.overshot = slope < -self.squared_norm
        self.loss_change = -0.5 * made * (self.signal + slope) if self.several else -product
