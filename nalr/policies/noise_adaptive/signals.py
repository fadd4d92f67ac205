"""The running measurements behind the default policy: plain numbers, updated once a step.

Each is one small slotted record, so that saving and resuming a run is copying numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from nalr.moments.record import Moments


def clamp(value: float, low: float, high: float) -> float:
    """Return `value` within [low, high]; nan stays. Three times as fast as `min(max(…))`."""
    return low if value < low else high if value > high else value


class View(NamedTuple):
    """What one step looks like to the policy.

    Attributes
    ----------
    squared_norm : float
        |ḡ|².
    typical : float
        Its average over the steps before.
    reach : float
        κ of a step at the present rate; 0 while unknown.
    deviation : float
        The displacement signal in standard errors: above 0 a larger rate would have been better.
    signal : float
        The same in [−1, 1], 0 within doubt.
    floor : float
        The noise floor η tr Σ/4B that the present rate holds the loss up to.
    """

    squared_norm: float
    typical: float
    reach: float
    deviation: float
    signal: float
    floor: float


@dataclass(slots=True)
class StepCurvature:
    """How far along the parabola of its line a step goes: κ = 1 is the line minimum, 2 the edge of stability.

    With plain SGD and a fresh batch, ⟨ḡₜ, ḡₜ₋₁⟩ estimates the slope at the end of the last step and
    Q = |ḡₜ₋₁|² − tr Σ/B the slope at its start, both without bias, so their difference over η is
    GᵀHG + tr(HΣ)/B, and κ = η · average(Q − p)/average(|ḡ|² η). One row a step leaves Q unknown; |ḡ|² stands
    for it then, which makes κ an upper bound.
    """

    change: float = 0.0  # average of Q − ⟨ḡ, ḡ before⟩
    length: float = 0.0  # average of |ḡ before|² · its rate
    steep: float = 0.0  # slow average of κ, within [−1, 3]
    signal: float = math.nan  # Q of the step before
    squared_norm: float = math.nan  # |ḡ|² of the step before
    foreign: int = 0  # plain steps still to be seen before κ is measured again
    clear: bool = False  # the step before was nearly free of noise
    overshot: bool = False  # the last step ended further up the other side than it began on this
    loss_change: float = 0.0  # of the last step, by the trapezoid of its two slopes: no loss needed

    DECAY = 0.8
    CLEAR, CLEAR_DECAY = 0.9, 0.3
    """Above this share of signal in |ḡ|² the averages forget faster: gradients that shrink by their own steps
    would else weigh the past too much, and κ would come out too low."""
    SLOW_DECAY = 0.97
    PLAIN = 1e-3
    """A step is plain SGD when |step|² is (η|ḡ|)² to this share; else its own noise is not known, nor κ."""

    def update(self, moments: Moments, lr: float) -> None:
        """Take in the step that led here, made with `lr`."""
        self.overshot = False
        self.loss_change = 0.0
        product = moments.step_product
        if math.isnan(product) or math.isnan(self.signal):
            return
        expected = lr * lr * self.squared_norm
        if not abs(moments.step_squared_norm - expected) <= self.PLAIN * expected:
            self.change = self.length = 0.0
            self.loss_change = -product
            self.foreign = 2
            return
        if self.foreign:  # one step of another optimizer may be as long by chance
            self.foreign -= 1
            self.loss_change = -product
            return
        slope = product / lr if lr > 0.0 else 0.0
        keep = self.CLEAR_DECAY if self.clear else self.DECAY
        self.change = keep * self.change + (1.0 - keep) * (self.signal - slope)
        self.length = keep * self.length + (1.0 - keep) * self.squared_norm * lr
        self.overshot = slope < -self.squared_norm
        self.loss_change = -0.5 * lr * (self.signal + slope)

    @property
    def known(self) -> bool:
        """Whether the steps are those of plain SGD, so that κ can be told."""
        return self.length > 0.0

    @property
    def along_step(self) -> float:
        """Curvature uᵀHu/|u|² along the steps; nan while unknown."""
        return self.change / self.length if self.length > 0.0 else math.nan

    def reach(self, lr: float) -> float:
        """Return κ of a step at `lr`; 0 while unknown."""
        return lr * self.along_step if self.length > 0.0 else 0.0

    def remember(self, moments: Moments, reach: float) -> None:
        """Keep what the next step needs of this one."""
        self.steep = self.SLOW_DECAY * self.steep + (1.0 - self.SLOW_DECAY) * clamp(reach, -1.0, 3.0)
        self.squared_norm = moments.mean_squared_norm
        several = moments.num_rows > 1
        self.signal = moments.signal if several else moments.mean_squared_norm
        self.clear = several and self.signal > self.CLEAR * self.squared_norm


@dataclass(slots=True)
class LossLevel:
    """The smoothed loss against its best and its first, in units of its own noise; blind to a constant.

    A rise counts only as far as the steps can have caused it: `attributed` follows the same rise through
    the gradients' own account of each step, which knows nothing of the loss's noise.
    """

    value: float = math.nan  # moving average of the loss
    first: float = math.nan
    best: float = math.nan
    previous: float = math.nan
    squares: float = 0.0  # average of half the squared differences: the noise of one loss
    weight: float = 0.0  # of that average
    standard_error: float = 0.0  # of `value`, were the losses independent
    calm: float = 0.0  # noise of one loss while the level was last below the first
    account: float = 0.0  # Σ loss changes by the gradients
    attributed: float = 0.0  # moving average of `account`, with the loss's own lag
    attributed_best: float = 0.0  # the same when `best` was reached
    count: int = 0

    DECAY = 0.9
    ERROR = math.sqrt((1.0 - DECAY) / (1.0 + DECAY))
    """Standard error of the moving average of independent losses, in those of one loss."""
    NOISE_DECAY = 0.95
    OUTLIER = 25.0
    """A squared difference counts at most this many times the average: one spike is not the noise."""

    def update(self, loss: float, change: float) -> None:
        """Take in a loss and the gradients' account of the change since the last."""
        self.count += 1
        self.account += change
        if self.count == 1:
            self.value = self.first = self.best = self.previous = loss
            return
        square = 0.5 * (loss - self.previous) ** 2 if abs(loss - self.previous) < 1e150 else math.inf
        if self.count > 20 and self.squares > 0.0:
            square = min(square, self.OUTLIER * self.squares / self.weight)
        if math.isfinite(square):
            self.squares = self.NOISE_DECAY * self.squares + (1.0 - self.NOISE_DECAY) * square
            self.weight = self.NOISE_DECAY * self.weight + (1.0 - self.NOISE_DECAY)
            self.standard_error = math.sqrt(self.squares / self.weight) * self.ERROR
        self.previous = loss
        self.value = self.DECAY * self.value + (1.0 - self.DECAY) * loss
        if self.count <= 20 or self.value <= self.first:
            self.calm = self.noise
        self.attributed = self.DECAY * self.attributed + (1.0 - self.DECAY) * self.account
        if self.value < self.best:
            self.rebase()

    def rebase(self, rise: float = 0.0) -> None:
        """Measure rises from here on against the present level less `rise`."""
        self.best = self.value - rise
        self.attributed_best = self.attributed - rise

    @property
    def noise(self) -> float:
        """Standard deviation of one loss."""
        return math.sqrt(self.squares / self.weight) if self.weight > 0.0 else 0.0

    @property
    def gained(self) -> float:
        """What the run has gained so far, at least the noise of one loss."""
        return max(self.fall, self.noise)

    @property
    def fall(self) -> float:
        """What the run has gained so far."""
        return max(self.first - self.best, 0.0)


@dataclass(slots=True)
class DisplacementSignal:
    """Would the run so far have ended lower with another rate? From h = ⟨ḡ, x₀ − (x + x̄)/2⟩.

    Along slow directions h is −dL/d log η of the whole run; along fast ones it falls by one to two noise
    floors. The average is bounded and weighed against the floor, not its terms: clamping each step first
    would bend the noise upwards. The error takes the terms for independent, which fresh batches make them.
    """

    mean: float = 0.0  # average of h over the window
    square: float = 0.0  # average of h²
    quick_mean: float = 0.0  # the same over ten steps
    quick_square: float = 0.0
    count: int = 0  # steps taken in since the last reset
    weights: float = 0.0  # Σ weight² of the terms in `mean`
    error: float = 0.0  # standard error of `mean`

    QUICK = 0.1

    def update(self, product: float, window: float) -> None:
        """Take in h, for an average over `window` steps."""
        if not math.isfinite(product):
            return
        self.count += 1
        share = max(1.0 / window, 1.0 / self.count)
        square = min(product * product, 1e300)
        quick = max(self.QUICK, 1.0 / self.count)
        self.quick_mean += quick * (product - self.quick_mean)
        self.quick_square += quick * (square - self.quick_square)
        self.mean += share * (product - self.mean)
        self.square += share * (square - self.square)
        self.weights = (1.0 - share) ** 2 * self.weights + share * share
        self.error = math.sqrt(self.square * self.weights)

    def read(self, floor: float, growth: float, shrink: float, most: float) -> float:
        """Return the signal in standard errors: above 0 a larger rate would have been better.

        Parameters
        ----------
        floor : float
            The noise floor F of the present rate.
        growth, shrink : float
            Floors added to the average before it counts as positive, and as negative; in between it is 0.
        most : float
            The average counts as at most this many floors below zero.
        """
        if not self.error > 0.0:
            return 0.0
        bounded = max(self.mean, -most * floor)
        if bounded > -growth * floor:
            return (bounded + growth * floor) / self.error
        return min(bounded + shrink * floor, 0.0) / self.error

    @property
    def quick(self) -> float:
        """The signal of the last ten steps or so, in standard errors; 0 until there are twice as many."""
        if self.count <= 2.0 / self.QUICK or not self.quick_square > 0.0:
            return 0.0
        return self.quick_mean / math.sqrt(self.quick_square * self.QUICK / (2.0 - self.QUICK))

    def restart(self) -> None:
        """Keep the last ten steps alone: what came before was another time."""
        self.mean, self.square, self.count = self.quick_mean, self.quick_square, round(1.0 / self.QUICK)
        self.weights = self.QUICK / (2.0 - self.QUICK)

    def reset(self) -> None:
        """Forget everything."""
        self.mean = self.square = self.quick_mean = self.quick_square = self.error = 0.0
        self.count, self.weights = 0, 0.0


@dataclass(slots=True)
class StepOverlap:
    """Does a step end uphill? The cosine between a step s = x − x′ and the fresh gradient at its end.

    For any optimizer: the fresh gradient shares no noise with the step, so that E⟨ḡ′, s⟩ is the slope left
    at its end. Positive, and the loss goes on falling that way; negative, and the step went past the
    minimum of its line. Where noise alone moves the parameters it is −½ sᵀHs, the more negative the larger
    the rate.
    """

    product: float = 0.0  # average of ⟨ḡ′, s⟩
    lengths: float = 0.0  # average of |ḡ′||s|
    steps: float = 0.0  # average of |s|²/η²
    gradients: float = 0.0  # average of |ḡ|²
    longest: float = 0.0  # largest |x₀ − x|² so far
    last: float = 0.0  # |s|² of the last step

    DECAY = 0.9
    SCALE_DECAY = 0.95

    def update(self, moments: Moments, lr: float) -> None:
        """Take in the step that led here, made with `lr`."""
        squared = moments.step_squared_norm
        if math.isnan(squared) or not lr > 0.0:
            return
        norm, keep = moments.mean_squared_norm, self.DECAY
        self.product = keep * self.product + (1.0 - keep) * moments.step_product
        self.lengths = keep * self.lengths + (1.0 - keep) * math.sqrt(squared) * math.sqrt(norm)
        keep = self.SCALE_DECAY
        self.steps = keep * self.steps + (1.0 - keep) * min(math.sqrt(squared) / lr, 1e150) ** 2
        self.gradients = keep * self.gradients + (1.0 - keep) * norm
        self.longest = max(self.longest, moments.displacement_squared_norm)
        self.last = squared

    @property
    def cosine(self) -> float:
        """The averaged overlap, in [−1, 1]; 0 while unknown."""
        return self.product / self.lengths if self.lengths > 0.0 else 0.0

    @property
    def scale(self) -> float:
        """Length of a step over that of the rate times the gradient: what the optimizer makes of both."""
        return math.sqrt(self.steps / self.gradients) if self.gradients > 0.0 else 1.0

    @property
    def relative_length(self) -> float:
        """The last step's length over the longest displacement so far; 0 while there is none."""
        return math.sqrt(self.last / self.longest) if self.longest > 0.0 else 0.0


@dataclass(slots=True)
class GradientLevel:
    """The size of |ḡ|², and how much of a gradient is left a step later."""

    squares: float = 0.0  # average of |ḡ|²
    weight: float = 0.0
    largest: float = 0.0  # outside kicks
    persistence: float = 1.0  # average of ⟨ḡ, ḡ before⟩/|ḡ before|², each within [−1, 1]
    before: float = 0.0  # |ḡ|² of the step before
    recent: float = 0.0  # quick average of |ḡ|²

    DECAY = 0.98
    OUTLIER = 16.0
    """|ḡ|² counts at most this many times the average."""
    PERSISTENCE_DECAY = 0.95
    RECENT_DECAY = 0.9

    def update(self, moments: Moments, lr: float) -> None:
        """Take in what is left of the last gradient; `remember` takes this one's size, after the decision.

        Near 1 the gradients lead somewhere; near 0 and below they are noise, or the swing about a minimum.
        The ratios are averaged, not their parts, so that the steep first steps of a run do not outweigh
        all that follow.
        """
        product = moments.step_product / lr if lr > 0.0 else math.nan
        if math.isnan(product) or not self.before > 0.0:
            return
        ratio = clamp(product / self.before, -1.0, 1.0)
        self.persistence = self.PERSISTENCE_DECAY * self.persistence + (1.0 - self.PERSISTENCE_DECAY) * ratio

    def typical(self, squared_norm: float) -> float:
        """Return the average |ḡ|² of the steps before; of this one while they were all zero."""
        return self.squares / self.weight if self.squares > 0.0 else squared_norm

    def remember(self, squared_norm: float, in_kick: bool) -> None:
        """Take in one step's |ḡ|²."""
        self.before = squared_norm
        self.recent = self.RECENT_DECAY * self.recent + (1.0 - self.RECENT_DECAY) * squared_norm
        most = self.OUTLIER * self.typical(squared_norm)
        capped = squared_norm if squared_norm < most else most
        if squared_norm > self.largest and not in_kick:
            self.largest = squared_norm
        self.squares = self.DECAY * self.squares + (1.0 - self.DECAY) * capped
        self.weight = self.DECAY * self.weight + (1.0 - self.DECAY)
