"""The size of the gradient, and how much of it is left a step later."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr.moments.record import Moments


@dataclass(slots=True)
class GradientLevel:
    """Averages of |ḡ|² over the steps before this one, and the persistence of the gradient.

    Persistence is the average of ⟨ḡ, ḡ before⟩/|ḡ before|². Near 1 the gradients lead somewhere; near 0 and
    below they are noise, or the swing about a minimum. The ratios are averaged, not their parts, so that the
    steep first steps of a run do not outweigh all that follow.
    """

    typical: float | None = None  # average |ḡ|² of the steps before; None while they were all zero
    recent: float = 0.0  # quick average of |ḡ|²
    largest: float = 0.0  # |ḡ|², outside kicks
    persistence: float = 1.0  # each ratio within [−1, 1]
    before: float | None = None  # |ḡ|² of the step before
    squares: float = 0.0  # average of |ḡ|², …
    weight: float = 0.0  # … to be divided by this
    above: int = 0  # steps in a row whose |ḡ|² exploded

    DECAY = 0.98
    """Memory of `typical`."""
    OUTLIER = 16.0
    """|ḡ|² counts at most this many times the average."""
    RECENT_DECAY = 0.9
    """Memory of `recent`."""
    PERSISTENCE_DECAY = 0.95
    """Memory of `persistence`."""

    def update(self, moments: Moments, made: float, in_kick: bool, explosion: float = math.inf) -> None:
        """Take in the gradient of the step before, which was made with `made`, and what is left of it.

        `explosion` is how many times its average |ḡ|² is when the gradient exploded.
        """
        before, self.before = self.before, moments.mean_squared_norm
        if before is None:
            return
        self._average(before, in_kick)
        exploded = self.typical is not None and self.before > explosion * self.typical
        self.above = self.above + 1 if exploded else 0
        product = moments.step_product / made if made > 0.0 else math.nan
        if before > 0.0 and not math.isnan(product):
            ratio = min(max(product / before, -1.0), 1.0)
            keep = self.PERSISTENCE_DECAY
            self.persistence = keep * self.persistence + (1.0 - keep) * ratio

    def begin(self) -> None:
        """Forget what gradients are usual, from the next step on."""
        self.typical, self.before, self.above = None, None, 0
        self.recent = self.squares = self.weight = 0.0

    def _average(self, squared_norm: float, in_kick: bool) -> None:
        self.recent = self.RECENT_DECAY * self.recent + (1.0 - self.RECENT_DECAY) * squared_norm
        capped = min(squared_norm, self.OUTLIER * (squared_norm if self.typical is None else self.typical))
        if squared_norm > self.largest and not in_kick:
            self.largest = squared_norm
        self.squares = self.DECAY * self.squares + (1.0 - self.DECAY) * capped
        self.weight = self.DECAY * self.weight + (1.0 - self.DECAY)
        self.typical = self.squares / self.weight if self.squares > 0.0 else None
