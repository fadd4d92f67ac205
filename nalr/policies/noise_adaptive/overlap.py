"""Whether steps end uphill, for any optimizer."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from nalr.moments.record import Moments


@dataclass(slots=True)
class StepOverlap:
    """The cosine between a step s = x − x′ and the fresh gradient at its end.

    The fresh gradient shares no noise with the step, so that E⟨ḡ′, s⟩ is the slope left at its end. Positive:
    the loss goes on falling that way. Negative: the step went past the minimum of its line. Where noise alone
    moves the parameters it is −½ sᵀHs, the more negative the larger the rate.
    """

    cosine: float | None = None  # the averaged overlap, in [−1, 1]
    last: float = 0.0  # that of the last step alone
    scale: float = 1.0  # length of a step over that of rate times gradient; 1 before the first step
    relative_length: float | None = None  # the last step's length over the longest displacement
    product: float = 0.0  # average of ⟨ḡ′, s⟩, …
    lengths: float = 0.0  # … and of |ḡ′||s|, …
    weight: float = 0.0  # … both to be divided by this
    stretch: float = 1.0  # |s|/η of the last step over what was usual before it
    length: float = 1.0  # |s| of the last step over what was usual before it
    jump: float = 1.0  # the same, or that of the step before where it was more: a loss may come a step late
    squares: float = 0.0  # average of |s|²
    steps: float = 0.0  # average of |s|²/η²
    gradients: float = 0.0  # average of |ḡ|²
    scale_weight: float = 0.0  # what these two are to be divided by
    longest: float = 0.0  # largest |x₀ − x|² so far

    DECAY = 0.9
    """Memory of the overlap."""
    SCALE_DECAY = 0.95
    """Memory of the lengths behind `scale`."""
    OUTLIER = 16.0
    """|s|²/η² counts at most this many times the average."""

    def update(self, moments: Moments, made: float) -> None:
        """Take in the step that led here, made with `made`."""
        squared = moments.step_squared_norm
        if not made > 0.0 or not math.isfinite(squared + moments.step_product):
            return
        norm, keep = moments.mean_squared_norm, self.SCALE_DECAY
        self._average(moments.step_product, math.sqrt(squared) * math.sqrt(norm))
        length = min(math.sqrt(squared) / made, 1e150) ** 2
        usual = self.steps / self.scale_weight if self.steps > 0.0 else length
        self.stretch = math.sqrt(min(length / usual, 1e300)) if usual > 0.0 else 1.0
        self.steps = keep * self.steps + (1.0 - keep) * min(length, self.OUTLIER * usual)
        usual = self.squares / self.scale_weight if self.squares > 0.0 else squared
        before, self.length = self.length, math.sqrt(min(squared / usual, 1e300)) if usual > 0.0 else 1.0
        self.jump = max(self.length, before)
        self.squares = keep * self.squares + (1.0 - keep) * min(squared, self.OUTLIER * usual)
        self.scale_weight = keep * self.scale_weight + (1.0 - keep)
        self.gradients = keep * self.gradients + (1.0 - keep) * norm
        self.longest = max(self.longest, min(moments.displacement_squared_norm, sys.float_info.max))
        self.scale = math.sqrt(min(self.steps / self.gradients, 1e300)) if self.gradients > 0.0 else 1.0
        self.relative_length = math.sqrt(squared / self.longest) if self.longest > 0.0 else None

    def _average(self, product: float, lengths: float) -> None:
        """Average both parts of the cosine; a length counts at most as an outlier.

        So the long steps of an explosion do not outweigh all after. A step that rounding hides, or without a
        gradient at its end, is no evidence, and ends the old.
        """
        if not lengths > 0.0:
            self.begin()
            return
        self.last = min(max(product / lengths, -1.0), 1.0)
        keep = self.DECAY
        usual = self.lengths / self.weight if self.lengths > 0.0 else lengths
        counted = min(lengths, math.sqrt(self.OUTLIER) * usual)
        self.product = keep * self.product + (1.0 - keep) * self.last * counted
        self.lengths = keep * self.lengths + (1.0 - keep) * counted
        self.weight = keep * self.weight + (1.0 - keep)
        self.cosine = self.product / self.lengths if self.lengths > 0.0 else None

    def begin(self) -> None:
        """Forget the steps so far, but not how long the optimizer makes them."""
        self.cosine, self.last = None, 0.0
        self.product = self.lengths = self.weight = self.longest = 0.0
