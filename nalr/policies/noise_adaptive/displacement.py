"""The displacement signal: whether the run so far would have ended lower with another rate."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DisplacementSettings:
    """How the signal is averaged and read, and what of the noise floor F is held against the rate."""

    window_share: float = 0.125
    """Share of the steps since the last change over which the signal is averaged, …"""
    window_least: float = 10.0
    """… and the fewest of them."""
    doubt: float = 0.5
    """Standard errors within which the signal counts as zero: noise must not move the rate."""
    certainty: float = 2.0
    """Standard errors at which the signal is full."""
    forgetting: float = 1.5
    """The displacement forgets this over the steps since the last change: then it stands for the last two
    thirds of them or so. Without it the far start drowns what the present rate does."""
    most_forgetting: float = 0.1
    """The largest share of the displacement forgotten in a step."""

    floor_growth: float = 0.5
    """Floors added to the signal before it counts as room to grow, …"""
    floor_growth_other: float = 0.25
    """… with any other optimizer than plain SGD: their floors are less well known, …"""
    planned_shrink: float = 1.7
    """… and before it counts against the rate, where the horizon is known and the anneal will remove F, …"""
    open_shrink: float = 0.8
    """… and where it is not: there the rate must answer for its noise floor as it goes. Fast directions give
    the signal −1 to −2 floors; it looks back over two thirds of the run only, and so asks for too little."""
    most_floors: float = 2.0
    """The signal is at most this many floors below zero: the rest is the past's doing, not the rate's."""

    memory: float = 2.0
    """Steps of an optimizer with memory are longer than their share of noise by about this factor, which
    lies between 1 (none) and 4.4 (momentum .9, steps of noise alone); F grows with it."""

    change: float = 2.5
    """Standard errors of the quick signal that show a change, …"""
    change_rise: float = 6.0
    """… if the smoothed loss is this many of its own above its best (else networks near the edge of stability
    begin anew by chance, and end 1.5 times higher), …"""
    change_before: float = 4.0
    """… where the long signal had fewer than these, …"""
    change_after: int = 100
    """… and this many steps have gone by since the last."""


@dataclass(slots=True)
class DisplacementSignal:
    """The average of h = ⟨ḡ, x₀ − (x + x̄)/2⟩ in units of its standard error.

    Along slow directions h is −dL/d log η of the whole run; along fast ones it falls by one to two noise
    floors. The average is bounded and weighed against the floor, not its terms: clamping each step first
    would bias the average upwards. The error takes the terms for independent, which fresh batches make them.
    """

    deviation: float | None = None  # in standard errors: above 0 a larger rate would have been better
    signal: float = 0.0  # the same in [−1, 1]; 0 within doubt, and while unknown
    window: float = math.nan  # steps averaged over: a share of those since the last change
    began: int = 0  # step at which the present stretch of the run began
    mean_before: float = 0.0  # `mean` without this step's h
    mean: float = 0.0  # average of h over the window
    square: float = 0.0  # average of h²
    quick_mean: float = 0.0  # the same over ten steps
    quick_square: float = 0.0
    count: int = 0  # steps taken in since the stretch began
    weights: float = 0.0  # Σ weight² of the terms in `mean`
    error: float = 0.0  # standard error of `mean`

    QUICK = 0.1
    """Weight of the newest term in the quick averages."""

    def update(
        self,
        c: DisplacementSettings,
        product: float,
        seen: int,
        *,
        rose: bool,
        floor: float,
        growth: float,
        shrink: float,
    ) -> None:
        """Take in h of the step after `seen` others; `rose`: whether the loss did. The rest: see `read`."""
        if rose and self._changed(c, seen):
            self.keep_recent()
            self.began = seen - 2 * self.count  # ten steps of average reach about twice as far back
        self.window = max(c.window_least, c.window_share * (seen - self.began))
        self.mean_before = self.mean
        self.add(product, self.window)
        self.deviation = self.read(floor, growth, shrink, c.most_floors)
        z = 0.0 if self.deviation is None else self.deviation
        self.signal = math.copysign(min(max((abs(z) - c.doubt) / (c.certainty - c.doubt), 0.0), 1.0), z)

    def _changed(self, c: DisplacementSettings, seen: int) -> bool:
        """Whether the last steps say what the many before them did not."""
        quick = self.quick
        calm = self.deviation is None or self.deviation < c.change_before
        return seen - self.began > c.change_after and calm and quick is not None and quick > c.change

    def add(self, product: float, window: float) -> None:
        """Take in h, for an average over `window` steps."""
        if not math.isfinite(product):
            return
        self.count += 1
        share = max(1.0 / window, 1.0 / self.count)
        product = min(max(product, -1e150), 1e150)
        square = product * product
        quick = max(self.QUICK, 1.0 / self.count)
        self.quick_mean += quick * (product - self.quick_mean)
        self.quick_square += quick * (square - self.quick_square)
        self.mean += share * (product - self.mean)
        self.square += share * (square - self.square)
        self.weights = (1.0 - share) ** 2 * self.weights + share * share
        self.error = math.sqrt(self.square * self.weights)

    def read(self, floor: float, growth: float, shrink: float, most: float) -> float | None:
        """Return the signal in standard errors; None before there is an error.

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
            return None
        bounded = max(self.mean, -most * floor)
        if bounded > -growth * floor:
            return (bounded + growth * floor) / self.error
        return min(bounded + shrink * floor, 0.0) / self.error

    @property
    def quick(self) -> float | None:
        """The signal of the last ten steps or so, in standard errors; None until there are twice as many."""
        error = math.sqrt(self.quick_square * self.QUICK / (2.0 - self.QUICK))
        return self.quick_mean / error if error > 0.0 and self.count > 2.0 / self.QUICK else None

    def keep_recent(self) -> None:
        """Forget all but the last ten steps."""
        self.mean, self.square, self.count = self.quick_mean, self.quick_square, round(1.0 / self.QUICK)
        self.weights = self.QUICK / (2.0 - self.QUICK)

    def begin_stretch(self, seen: int) -> None:
        """Forget the averages; the step's reading stays until the next."""
        self.began, self.count = seen, 0
        self.mean = self.square = self.quick_mean = self.quick_square = self.error = self.weights = 0.0
