"""The kick: a trial of larger rates where a run is stuck and noise does not explain it.

Small bumps hold a small rate. A step of length η|ḡ| does not see bumps narrower than itself (Kleinberg, Li
& Yuan 2018), so a larger rate passes over them, and annealing it slowly lets the run settle in a deep
one. Whether it is stuck or finished cannot be known from where it stands, so the kick is a trial: raise
the rate step by step, look for lower ground, keep it or take it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr.policies.base import Reason
from nalr.policies.signals import GradientLevel, LossLevel, StepCurvature, View


@dataclass(slots=True)
class _State:
    """All that changes. Steps are counted from the run's start."""

    step: int = 0
    mark: float = math.nan  # smoothed loss of the last progress worth the name …
    marked: int = 0  # … and when it was made
    wait: float = 0.0  # steps without progress that call for a kick; doubles when one fails
    failures: int = 0
    active: bool = False
    started: int = 0
    level: float = 0.0  # smoothed loss before the kick
    rate: float = 0.0  # peak rate before the kick
    peak: float = 0.0  # highest smoothed loss during it
    excess: int = 0  # steps in a row above the bounds of harm
    cooling: bool = False
    cool_start: int = 0
    cool_end: int = 0
    cool_from: float = 0.0
    cool_to: float = 0.0


class Kick:
    """Decides when to kick, follows the kick, and cools after it.

    Parameters
    ----------
    pace : float
        How many times faster than the reference this run moves.
    total_steps : int or None
        The horizon, if it is known: a kept kick cools until .8 of it.
    reference_steps : float
        The horizon assumed for the time of kicks where none is known.
    """

    WAIT = 80.0
    """Steps without progress that call for a kick."""
    EARLY = 0.15
    """Share of the run in which the first kick may start: a run held by bumps is held from the beginning. One
    that made its way has more to lose, and too little time to cool."""
    AGAIN = 0.3
    """Share of the run in which further trials may start."""
    MOST_FAILURES = 3
    """Trials that may fail; the wait doubles after each."""
    PROGRESS_ERRORS = 2.8
    PROGRESS_SHARE = 0.002
    """Progress is a fall beyond this many standard errors and this share of all gained so far."""
    SMALL_FLOOR = 0.01
    """Stuck rather than finished: the noise floor is below this share of what was gained (or of one loss's
    noise where nothing was)."""
    STEEP = 0.4
    """Slow average of κ above which the curvature, not a lack of rate, is what ends progress."""
    NOISE_ONLY = 0.3
    """Persistence of the gradient below which it leads nowhere."""
    PROMISE_STEPS = 40.0
    PROMISE = 0.001
    """Without noise the gradient persists to the end; there it leads nowhere if this many steps along it
    promise less than this share of what was gained."""
    NO_SIGNAL = 0.3
    """Displacement signal below which a larger rate is not simply wanted."""
    GROWTH = 0.05
    """Log-growth of the rate a step, however short the run: the smoothed loss lags by some ten steps, and a
    faster climb would be far above the rate that frees the run before that shows."""
    MOST = 12.0
    """Largest factor on the rate: bumps that 12 times the edge do not pass are hills."""
    SEARCH = 120.0
    """Steps at the largest rate before the kick has found nothing."""
    LOWER_ERRORS = 6.0
    """Lower ground is a fall below the old level by this many standard errors and by …"""
    LOWER_SHARE = 0.5
    """… this share of the rise on the way."""
    PATIENCE = 30.0
    """Steps with the loss above its first by more than all gained (and three times its noise) before the kick
    is taken back."""
    EXPLOSION = 10.0
    """|ḡ|² above this many times its largest so far, with the loss above those bounds, takes the kick back at
    once."""
    BACK = 100.0
    """Steps of cooling after a kick that failed; three times as many after one that found nothing."""
    BELOW = 3.0
    """A kept kick cools to this part of the rate that found lower ground: bumps begin to hold a run at rates
    just below those that free it, so that is where it must come down slowly."""
    BOUNCE = 10.0
    """Factor between the rate of a bouncing run and the rate that it cools to."""
    KEPT_SHARE = 0.8
    """Share of a known horizon at which a kept kick has cooled."""
    KEPT_STEPS = 1000.0
    """Steps that it cools where no horizon is known."""

    def __init__(self, pace: float, total_steps: int | None, reference_steps: float) -> None:
        self._pace = pace
        self._total_steps = total_steps
        self._horizon = total_steps or reference_steps
        self.state = _State(wait=self.WAIT / pace)

    @property
    def active(self) -> bool:
        """Whether a kick is under way."""
        return self.state.active

    @property
    def cooling(self) -> bool:
        """Whether the rate is coming down from a kick."""
        return self.state.cooling

    def wanted(
        self,
        step: int,
        level: LossLevel,
        gradient: GradientLevel,
        curvature: StepCurvature,
        view: View,
        rate: float,
    ) -> bool:
        """Whether the run is stuck, early enough, where noise does not explain it."""
        s = self.state
        s.step = step
        progress = max(self.PROGRESS_ERRORS * level.standard_error, self.PROGRESS_SHARE * level.fall)
        if math.isnan(s.mark):
            s.mark, s.marked = level.value, step
        if level.value < s.mark - progress:
            s.mark, s.marked = level.value, step
        latest = (self.AGAIN if s.failures else self.EARLY) * self._horizon
        if s.cooling or s.failures >= self.MOST_FAILURES or step >= latest:
            return False
        gained = max(level.fall, level.noise)
        promise = rate * view.squared_norm * self.PROMISE_STEPS / self._pace
        return (
            step - s.marked > s.wait
            and view.floor <= self.SMALL_FLOOR * gained
            and curvature.steep > self.STEEP
            and view.signal < self.NO_SIGNAL
            and (gradient.persistence < self.NOISE_ONLY or promise < self.PROMISE * gained)
        )

    def start(self, rate: float, level: LossLevel, bouncing: bool) -> Reason:
        """Begin a kick from this rate and level; or cool at once, where the run passes over bumps already.

        Bouncing is the state that a kick is there to reach: gradients far above the noise that undo each
        other. What is left to do is to come down slowly.
        """
        s = self.state
        if bouncing:
            s.rate = rate / self.BOUNCE
            self._cool(rate, self._kept_steps())
            return Reason.COOL
        s.active, s.started, s.excess = True, s.step, 0
        s.rate, s.level, s.peak = rate, level.value, level.value
        return Reason.KICK

    def follow(
        self, rate: float, squared_norm: float, level: LossLevel, gradient: GradientLevel
    ) -> tuple[float, Reason]:
        """Return the next peak rate of the kick, and whether it goes on, is kept, or is taken back."""
        s = self.state
        s.step += 1
        s.peak = max(s.peak, level.value)
        bound = level.first + level.fall + 3.0 * level.noise
        s.excess = s.excess + 1 if level.value > bound else 0
        if s.excess and squared_norm > self.EXPLOSION * gradient.largest:
            self._fail()
            return s.rate, Reason.KICK_TAKEN_BACK
        if s.excess > self.PATIENCE / self._pace:
            self._fail()
            self._cool(max(0.5 * rate, s.rate), self.BACK / self._pace)
            return rate, Reason.KICK_TAKEN_BACK
        if level.value < s.level - max(
            self.LOWER_ERRORS * level.standard_error, self.LOWER_SHARE * (s.peak - s.level)
        ):
            return rate, self._keep(rate)
        if s.step - s.started > self.SEARCH / self._pace + math.log(self.MOST) / self.GROWTH:
            self._fail()
            self._cool(rate, 3.0 * self.BACK / self._pace)
            return rate, Reason.KICK_TAKEN_BACK
        if rate < self.MOST * s.rate:
            rate *= math.exp(self.GROWTH)
        return rate, Reason.KICK

    def _keep(self, rate: float) -> Reason:
        s = self.state
        s.active, s.mark = False, math.nan
        s.rate = max(s.rate, rate / self.BELOW)
        self._cool(rate, self._kept_steps())
        return Reason.KICK_KEPT

    def _kept_steps(self) -> float:
        """Return how long to cool where it is worth the while."""
        if self._total_steps is None:
            return self.KEPT_STEPS
        return max(self.KEPT_SHARE * self._total_steps - self.state.step, 1.0)

    def _fail(self) -> None:
        s = self.state
        s.active, s.mark = False, math.nan
        s.failures += 1
        s.wait *= 2.0

    def _cool(self, rate: float, steps: float) -> None:
        """Plan a linear descent to the rate kept in the state."""
        s = self.state
        s.cooling, s.cool_start, s.cool_end = True, s.step, s.step + max(int(steps), 1)
        s.cool_from, s.cool_to = rate, s.rate

    def cool(self, rate: float) -> float:
        """Return the rate of this step of the descent; the last step ends it."""
        s = self.state
        if s.step >= s.cool_end:
            s.cooling, s.mark = False, math.nan
            return rate
        share = (s.step - s.cool_start) / (s.cool_end - s.cool_start)
        return s.cool_from + (s.cool_to - s.cool_from) * share

    def stop_cooling(self) -> None:
        """Leave the rate to whoever has just cut it."""
        self.state.cooling = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return asdict(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.state = _State(**state)
