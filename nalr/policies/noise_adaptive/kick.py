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
from nalr.policies.noise_adaptive.signals import GradientLevel, LossLevel, StepCurvature, View


@dataclass(slots=True)
class _State:
    """All that changes. Steps are counted from the run's start."""

    mark: float = math.nan  # smoothed loss of the last progress worth the name …
    marked: int = 0  # … and when it was made
    still: int = 0  # steps in a row whose gradients promise nothing
    wait: float = 0.0  # steps without progress that call for a kick
    failures: int = 0
    active: bool = False
    started: int = 0
    level: float = 0.0  # loss before the kick
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
        How many times shorter than the reference this run is; at least 1.
    total_steps : int or None
        The horizon, if it is known: a kept kick cools to zero until then.
    reference_steps : float
        The horizon assumed for the time of kicks where none is known.
    wait : float
        Steps of a reference run without progress that call for a kick.
    """

    EARLY = 0.3
    """Share of the run in which a kick may start: a run held by bumps is held from the beginning. One that
    made its way has more to lose, and too little time to cool."""
    MOST_FAILURES = 1
    """Trials that may fail: one that did has shown that the surface is smooth there, at some price."""
    PROGRESS_ERRORS = 2.8
    PROGRESS_SHARE = 0.002
    """Progress is a fall beyond this many standard errors and this share of all gained so far."""
    SMALL_FLOOR = 0.002
    """Stuck rather than finished: the noise floor is below this share of what was gained (or of one loss's
    noise where nothing was)."""
    STEEP = 0.4
    """Slow average of κ above which the curvature, not a lack of rate, is what ends progress."""
    NOISE_ONLY = 0.3
    """Persistence of the gradient below which it leads nowhere."""
    PROMISE_STEPS = 40.0
    PROMISE = 0.001
    """Without noise the gradient persists to the end; there it leads nowhere if this many steps along it
    promise less than this share of what was gained, …"""
    STILL = 8
    """… and after so many steps of that the wait is over: progress is no question of noise."""
    NO_SIGNAL = 0.3
    """Displacement signal below which a larger rate is not simply wanted."""
    FIRST = 20
    """Steps before the first kick: the measurements have not begun to mean anything."""
    NOISE_FREE = 0.001
    """Without noise (tr Σ/B below this share of |ḡ|²) steps close to a line minimum reach it to rounding
    within some twenty, and then no rate leads out. There the trial cannot wait; it is made as soon as …"""
    NOISE_FREE_REACH = 0.6
    """… κ is above this."""
    JUMP = 3.0
    """First factor on the rate: from below the line minimum past the edge at once. At κ = 1, in between, a
    step without noise would land on the minimum."""
    GROWTH = 0.05
    """Log-growth of the rate a step, however short the run: the smoothed loss lags by some ten steps, and a
    faster climb would be far above the rate that frees the run before that shows."""
    MOST = 12.0
    """Largest factor on the rate: bumps that 12 times the edge do not pass are hills."""
    SEARCH = 120.0
    """Steps at the largest rate before the search ends."""
    LOWER_ERRORS = 6.0
    """Lower ground is a fall below the old level by this many standard errors, by …"""
    LOWER_SHARE = 0.5
    """… this share of the rise on the way, and by …"""
    LOWER_GAIN = 0.05
    """… this share of what was gained before."""
    BOUNDED = 0.5
    """A smooth surface cannot bear several times the edge. A run that did, with the loss no further above its
    first than this share of all gained, passes over bumps, and only cooling can show how deep it settles.
    That takes a horizon, since only the descent to zero comes to rest wherever the run is."""
    PATIENCE = 30.0
    """Steps with the loss above its first by more than all gained (and three times its noise) before the kick
    is rolled back."""
    EXPLOSION = 10.0
    """|ḡ|² above this many times its largest so far, with the loss above those bounds, takes the kick back at
    once."""
    BOUNCING = 20.0
    """|ḡ|² above this many times tr Σ/B is no noise; about a minimum it averages less than twice. …"""
    BOUNCING_PROMISE = 0.1
    """… With a step that promises this share of all gained, the run bounces already and needs no kick."""
    BELOW = 3.0
    """Without a horizon a kept kick cools to this part of its rate: bumps begin to hold a run at rates just
    below those that free it, so that is where it must come down slowly."""
    KEPT_STEPS = 1000.0
    """Steps that it takes for that."""

    def __init__(self, pace: float, total_steps: int | None, reference_steps: float, wait: float) -> None:
        self._pace = pace
        self._total_steps = total_steps
        self._horizon = total_steps or reference_steps
        self.state = _State(wait=wait / math.sqrt(pace))
        self.enabled = math.isfinite(wait)

    @property
    def active(self) -> bool:
        """Whether a kick is under way."""
        return self.state.active

    @property
    def cooling(self) -> bool:
        """Whether the rate is coming down from a kick."""
        return self.state.cooling

    # -- when ---------------------------------------------------------------------------------------

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
        gained = level.gained
        promise = rate * view.squared_norm * self.PROMISE_STEPS / self._pace
        s.still = s.still + 1 if step > self.FIRST and promise < self.PROMISE * gained else 0
        self._mark_progress(step, level)
        if not self._may_start(step):
            return False
        return (
            (step - s.marked > s.wait or s.still > self.STILL)
            and view.floor <= self.SMALL_FLOOR * gained
            and curvature.steep > self.STEEP
            and view.signal < self.NO_SIGNAL
            and (gradient.persistence < self.NOISE_ONLY or promise < self.PROMISE * gained)
        )

    def noise_free(self, step: int, noise: float, gradient: GradientLevel, view: View) -> bool:
        """Whether to try at once, since there is no noise that would keep a way out open."""
        return (
            self._may_start(step)
            and step > self.FIRST
            and view.reach > self.NOISE_FREE_REACH
            and max(noise, 0.0) < self.NOISE_FREE * min(view.squared_norm, gradient.recent)
        )

    def bounces(self, noise: float, gradient: GradientLevel, level: LossLevel, rate: float) -> bool:
        """Whether the run passes over bumps already: gradients far above the noise that undo each other."""
        return (
            not self.state.still
            and gradient.recent > self.BOUNCING * max(noise, 0.0)
            and rate * gradient.recent > self.BOUNCING_PROMISE * level.gained
        )

    def _mark_progress(self, step: int, level: LossLevel) -> None:
        s = self.state
        progress = max(self.PROGRESS_ERRORS * level.standard_error, self.PROGRESS_SHARE * level.fall)
        if math.isnan(s.mark) or level.value < s.mark - progress:
            s.mark, s.marked = level.value, step

    def _may_start(self, step: int) -> bool:
        s = self.state
        early = step < self.EARLY * self._horizon
        return self.enabled and early and not s.cooling and s.failures < self.MOST_FAILURES

    # -- the trial ----------------------------------------------------------------------------------

    def start(self, step: int, rate: float, level: LossLevel, loss: float, noise_free: bool) -> float:
        """Begin a kick from this rate and level; return its first rate."""
        s = self.state
        s.active, s.started, s.excess, s.still = True, step, 0, 0
        # The smoothed loss may still be coming down to where the run stands.
        before = min(level.value, loss if noise_free else loss + 2.0 * level.noise)
        s.rate, s.level, s.peak = rate, before, before
        return self.JUMP * rate

    def follow(
        self, step: int, rate: float, squared_norm: float, level: LossLevel, gradient: GradientLevel
    ) -> tuple[float, Reason]:
        """Return the next peak rate of the kick, and whether it goes on, is kept, or is rolled back."""
        s = self.state
        s.peak = max(s.peak, level.value)
        bound = level.first + level.fall + 3.0 * level.noise
        s.excess = s.excess + 1 if level.value > bound else 0
        exploded = s.excess > 0 and squared_norm > self.EXPLOSION * gradient.largest
        if exploded or s.excess > self.PATIENCE / self._pace:
            return self.take_back()
        lower = max(
            self.LOWER_ERRORS * level.standard_error,
            self.LOWER_SHARE * (s.peak - s.level),
            self.LOWER_GAIN * level.fall,
        )
        if level.value < s.level - lower:
            return self._keep(rate)
        climb = math.log(self.MOST / self.JUMP) / self.GROWTH
        if step - s.started > self.SEARCH / self._pace + climb:
            bounded = level.value < level.first + self.BOUNDED * level.fall
            planned = self._total_steps is not None
            return self._keep(rate) if bounded and planned else self.take_back()
        if rate < self.MOST * s.rate:
            rate *= math.exp(self.GROWTH)
        return rate, Reason.KICK

    def take_back(self, factor: float = 1.0) -> tuple[float, Reason]:
        """End a kick that failed; return the rate before it, times `factor`."""
        s = self.state
        s.active, s.mark = False, math.nan
        s.failures += 1
        return factor * s.rate, Reason.KICK_ROLLED_BACK

    def _keep(self, rate: float) -> tuple[float, Reason]:
        self.state.active = False
        return rate, Reason.KICK_KEPT

    # -- after it -----------------------------------------------------------------------------------

    def begin_cooling(self, step: int, rate: float) -> None:
        """Plan a linear descent: to zero at the horizon, or to a part of the rate where none is known."""
        s = self.state
        s.cooling, s.cool_start, s.cool_from = True, step, rate
        if self._total_steps is None:
            s.cool_to, s.cool_end = rate / self.BELOW, step + int(self.KEPT_STEPS)
        else:
            s.cool_to, s.cool_end = 0.0, max(self._total_steps, step + 1)

    def cool(self, step: int) -> float:
        """Return the rate of this step of the descent; the last step ends it."""
        s = self.state
        share = min((step - s.cool_start) / (s.cool_end - s.cool_start), 1.0)
        if share >= 1.0:
            self.stop_cooling()
        return s.cool_from + (s.cool_to - s.cool_from) * share

    def stop_cooling(self) -> None:
        """Leave the rate to whoever has just cut it."""
        self.state.cooling, self.state.mark = False, math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return asdict(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.state = _State(**state)
