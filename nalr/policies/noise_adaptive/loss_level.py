"""The smoothed loss against its best and its first, in units of its own noise."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass


@dataclass(slots=True)
class LossLevel:
    """The smoothed loss, what the run has gained, and how much of a rise the steps caused.

    Blind to a constant added to the loss. A rise counts only as far as the steps can have caused it:
    `attributed` follows the same rise through the gradients' own account of each step, which knows nothing
    of the loss's noise.
    """

    value: float = math.nan  # moving average of the loss
    first: float = math.nan
    start: float = math.nan  # the first of all, raised by what other losses added
    best: float = math.nan
    noise: float = 0.0  # standard deviation of one loss
    standard_error: float = 0.0  # of `value`, were the losses independent
    calm: float = 0.0  # noise of one loss while the level was last below the first
    fall: float = 0.0  # what the run has gained so far: first − best
    gained: float = 0.0  # the same, but at least the noise of one loss
    attributed: float = 0.0  # moving average of `account`, with the loss's own lag
    promised: float = 0.0  # largest fall of `attributed`: what was gained by the gradients' own account
    attributed_best: float = 0.0  # the same when `best` was reached
    account: float = 0.0  # Σ loss changes by the gradients
    previous: float = math.nan
    squares: float = 0.0  # average of half the squared differences: the noise of one loss
    weight: float = 0.0  # of that average
    count: int = 0  # losses since the level began
    above: int = 0  # losses in a row that ran away

    DECAY = 0.9
    """Memory of the level."""
    ERROR = math.sqrt((1.0 - DECAY) / (1.0 + DECAY))
    """Standard error of the moving average of independent losses, in those of one loss."""
    NOISE_DECAY = 0.95
    """Memory of the noise."""
    OUTLIER = 25.0
    """A squared difference counts at most this many times the average: one spike is not the noise."""

    def update(
        self, loss: float, change: float, share: float = math.inf, deviations: float = math.inf
    ) -> None:
        """Take in a loss and the gradients' account of the change since the last.

        `share` and `deviations` say what has run away: see `ran_away`.
        """
        self.count += 1
        if math.isfinite(self.account + change):
            self.account += change
        if self.count == 1:
            self.value = self.first = self.best = self.previous = self.start = loss
            return
        square = 0.5 * (loss - self.previous) ** 2 if abs(loss - self.previous) < 1e150 else math.inf
        if self.count > 20 and self.squares > 0.0:
            square = min(square, self.OUTLIER * self.squares / self.weight)
        if math.isfinite(square):
            self.squares = self.NOISE_DECAY * self.squares + (1.0 - self.NOISE_DECAY) * square
            self.weight = self.NOISE_DECAY * self.weight + (1.0 - self.NOISE_DECAY)
            self.noise = math.sqrt(self.squares / self.weight)
            self.standard_error = self.noise * self.ERROR
        self.previous = loss
        self.value = self.DECAY * self.value + (1.0 - self.DECAY) * loss
        if self.count <= 20 or self.value <= self.first:
            self.calm = self.noise
        self.attributed = self.DECAY * self.attributed + (1.0 - self.DECAY) * self.account
        self.promised = max(self.promised, -self.attributed)
        if self.value < self.best:
            self.rebase()
        self.gained = max(self.fall, self.noise)
        self.above = self.above + 1 if self.ran_away(loss, share, deviations) else 0

    def rebase(self, rise: float = 0.0) -> None:
        """Measure rises from here on against the present level less `rise`."""
        self.best = self.value - rise
        self.attributed_best = self.attributed - rise
        self.fall = min(max(self.first - self.best, 0.0), sys.float_info.max)
        self.gained = max(self.fall, self.noise)

    def move(self) -> None:
        """Measure rises from the present loss on; what was gained still counts."""
        self.value, self.attributed, self.above = self.previous, self.account, 0
        self.rebase()

    def begin(self, forgive: bool) -> None:
        """Begin anew at the present loss, which is another than before; `forgive` what it is higher."""
        if forgive:
            self.start += max(self.previous - self.best, 0.0)
        self.first, self.count = self.previous, 1
        self.squares = self.weight = 0.0
        self.move()

    def explains(self, loss: float, share: float) -> bool:
        """Whether the gradients' own account shows at least this share of a rise to `loss`."""
        rise = self.account - self.attributed_best
        return rise > 0.0 and rise >= share * (loss - self.best)

    def ran_away(self, loss: float, share: float, deviations: float) -> bool:
        """Whether one loss is above the first, and above the best by a share of all gained and its noise."""
        return loss > self.first and loss - self.best > share * self.fall + deviations * self.calm
