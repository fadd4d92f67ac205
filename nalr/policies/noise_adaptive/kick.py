"""The kick: a trial of larger rates where a run is stuck and noise does not explain it.

Small bumps hold a small rate. A step of length η|ḡ| does not see bumps narrower than itself (Kleinberg, Li
& Yuan 2018), so a larger rate passes over them, and annealing it slowly lets the run settle in a deep
one. Whether it is stuck or finished cannot be known from where it stands, so the kick is a trial: raise
the rate step by step, look for lower ground, keep the rate that found it or roll back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.stuck import Stuck, StuckSettings
from nalr.policies.noise_adaptive.view import Course, Move, Plan, Stretch, View


@dataclass(frozen=True, kw_only=True)
class KickSettings(StuckSettings):
    """When a trial may be made, how far it goes, and what ends it."""

    kick_early: float = 0.3
    """Share of the run in which a kick may start: a run held by bumps is held from the beginning. One that
    made its way has more to lose, and too little time to cool."""
    kick_failures: int = 1
    """Trials that may fail: one that did has shown that the surface is smooth there, at some price."""
    kick_jump: float = 3.0
    """First factor on the rate: from below the line minimum past the edge at once. At κ = 1, in between, a
    step without noise would land on the minimum."""
    kick_growth: float = 0.05
    """Log-growth of the rate a step, however short the run: the smoothed loss lags by some ten steps, and a
    faster climb would be far above the rate that frees the run before that shows."""
    kick_most: float = 12.0
    """Largest factor on the rate: bumps that 12 times the edge do not pass are hills."""
    kick_search: float = 120.0
    """Steps at the largest rate before the search ends."""

    lower_errors: float = 6.0
    """Lower ground is a fall below the old level by this many standard errors, by …"""
    lower_share: float = 0.5
    """… this share of the rise on the way, and by …"""
    lower_gain: float = 0.05
    """… this share of what was gained before."""
    kick_bounded: float = 0.5
    """A smooth surface cannot bear several times the edge. A run that did, with the loss no further above its
    first than this share of all gained, passes over bumps, and only cooling can show how deep it settles.
    That takes a horizon, since only the descent to zero comes to rest wherever the run is."""

    kick_patience: float = 30.0
    """Steps with the loss above its first by more than all gained (and three times its noise) before the kick
    is rolled back."""
    kick_explosion: float = 10.0
    """|ḡ|² above this many times its largest so far, with the loss above those bounds, rolls back at once."""
    kick_runaway_share: float = 2.0
    """A loss above its best by this many times all that was gained rolls back at once, to a lower rate."""


@dataclass(slots=True)
class _State:
    """The present trial, and how many failed."""

    failures: int = 0
    started: int = 0  # step
    level: float = 0.0  # loss before the kick
    rate: float = 0.0  # peak rate before the kick
    peak: float = 0.0  # highest smoothed loss during it
    excess: int = 0  # steps in a row above the bounds of the loss


class Kick:
    """Begins a trial where the run is stuck, and follows it to its end.

    Parameters
    ----------
    settings : KickSettings
        The constants.
    plan : Plan
        The run's settings.
    horizon : float
        Steps of the run, or those assumed where none are known.
    cut : float
        Rate factor where the loss ran away.
    runaway_noise : float
        Standard deviations of one loss that a loss which ran away exceeds.
    """

    def __init__(
        self, settings: KickSettings, plan: Plan, horizon: float, cut: float, runaway_noise: float
    ) -> None:
        self._settings, self._plan = settings, plan
        self._latest = settings.kick_early * horizon
        self._cut, self._runaway_noise = cut, runaway_noise
        self._stuck = Stuck(settings, plan)
        self.state = _State()

    def judge(self, view: View, course: Course) -> Move | None:
        """Return the next rate of a trial, or the first of one; None where none is due."""
        if course.in_kick:
            return self._follow(view, course.rate)
        if course.cooling or self.state.failures >= self._settings.kick_failures or view.step >= self._latest:
            return None
        found = self._stuck.find(view, course)
        if found is None:
            return None
        if found == "bouncing":  # the state that a kick is there to reach
            return Move(course.rate, Reason.COOL, cooling=True)
        return self._start(view, course.rate, noise_free=found == "noise-free")

    def _start(self, view: View, rate: float, noise_free: bool) -> Move:
        # The smoothed loss may still be coming down to where the run stands.
        level = min(view.level.value, view.loss if noise_free else view.loss + 2.0 * view.level.noise)
        self.state = _State(self.state.failures, view.step, level, rate, level)
        return Move(self._settings.kick_jump * rate, Reason.KICK)

    def _follow(self, view: View, rate: float) -> Move:
        c, s, level = self._settings, self.state, view.level
        if level.ran_away(view.loss, c.kick_runaway_share, self._runaway_noise):
            return self._roll_back(self._cut, explosion=True)
        s.peak = max(s.peak, level.value)
        bound = level.first + level.fall + 3.0 * level.noise
        s.excess = s.excess + 1 if level.value > bound else 0
        exploded = s.excess > 0 and view.squared_norm > c.kick_explosion * view.gradient.largest
        if exploded or s.excess > c.kick_patience / self._plan.pace:
            return self._roll_back()
        if level.value < s.level - self._least_fall(view):
            return self._keep(rate)
        climb = math.log(c.kick_most / c.kick_jump) / c.kick_growth
        if view.step - s.started > c.kick_search / self._plan.pace + climb:
            bounded = level.value < level.first + c.kick_bounded * level.fall
            planned = self._plan.total_steps is not None
            return self._keep(rate) if bounded and planned else self._roll_back()
        if rate < c.kick_most * s.rate:
            rate *= math.exp(c.kick_growth)
        return Move(rate, Reason.KICK)

    def _least_fall(self, view: View) -> float:
        """Return how far below the old level lower ground is."""
        c, s, level = self._settings, self.state, view.level
        return max(
            c.lower_errors * level.standard_error,
            c.lower_share * (s.peak - s.level),
            c.lower_gain * level.fall,
        )

    def _keep(self, rate: float) -> Move:
        return self._end(rate, Reason.KICK_KEPT, explosion=False, cooling=True)

    def _roll_back(self, factor: float = 1.0, explosion: bool = False) -> Move:
        """End a trial that failed, at the rate before it times `factor`."""
        self.state.failures += 1
        return self._end(factor * self.state.rate, Reason.KICK_ROLLED_BACK, explosion, None)

    def _end(self, rate: float, reason: Reason, explosion: bool, cooling: bool | None) -> Move:
        stretch = Stretch(self._plan.cooldown // 2, harm=False, explosion=explosion)
        return Move(rate, reason, ends_search=True, stretch=stretch, cooling=cooling)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return asdict(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.state = _State(**state)
