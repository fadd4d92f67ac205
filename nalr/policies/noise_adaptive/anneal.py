"""The anneal to a known horizon: it waits while there is something left to descend."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, View


@dataclass(frozen=True, kw_only=True)
class AnnealSettings:
    """How fast the rate comes down, and when nothing else moves it any more."""

    anneal_power: float = 3.0
    """With nothing but noise left the rate falls as (1 − t/T)³ from wherever it is; …"""
    anneal_slow: float = 4.0
    """… a slow gain of this many floors halves the speed of that fall: what still descends can wait."""
    anneal_slow_other: float = 1.0
    """The same with any other optimizer: their floors come out too high by as much."""
    anneal_floors: float = 1.2
    """Floors added to the signal for the slow gain, since fast directions take off one to two."""
    anneal_most: float = 0.5
    """The largest part that one step may take off."""
    anneal_forced: float = 0.1
    """Share of the horizon over which the rate comes to zero in a straight line in any case, …"""
    anneal_steps: int = 10
    """… and the fewest steps of that, half of the run at most: it ends at one over their number."""
    plan: float = 0.85
    """Share of the horizon during which the peak rate still moves; then the anneal alone acts."""


class Anneal:
    """The share of the peak rate that is left.

    With nothing but noise left, the best schedules fall early and fast, about as (1 − t/T)³; where a slow
    descent goes on, they hold the rate to the end. Which of the two a run needs is measured: the speed of the
    fall is 1/(1 + slow gain/(c F)), F the noise floor.
    """

    def __init__(self, settings: AnnealSettings, total_steps: int) -> None:
        self._settings, self._total_steps = settings, total_steps
        self._forced = max(settings.anneal_forced, min(settings.anneal_steps / total_steps, 0.5))
        self.restart()

    def restart(self) -> None:
        """Give the whole peak rate again."""
        self.share = 1.0

    def at(self, step: int) -> float:
        """Return the share at a step: less in the last part of the run, but never zero."""
        left = max(1.0 - step / self._total_steps, 0.5 / self._total_steps)
        return min(self.share, left / self._forced)

    def advance(self, view: View) -> None:
        """Take one step off the share."""
        c, floor = self._settings, view.floor
        if not floor:
            return
        slow = max(view.displacement.mean_before + c.anneal_floors * floor, 0.0)
        speed = 1.0 / (1.0 + slow / ((c.anneal_slow if view.plain else c.anneal_slow_other) * floor))
        remaining = max(self._total_steps - view.step, 1)
        self.share *= 1.0 - min(c.anneal_power * speed / remaining, c.anneal_most)

    def judge(self, view: View, course: Course) -> Move | None:
        """Hold the peak rate in the last part of the run."""
        late = view.step >= self._settings.plan * self._total_steps
        return Move(course.rate, Reason.ANNEAL) if late else None


def change_of_plan(step: int, before: int, now: int | None) -> float:
    """Return the power of the share of a plan of `before` steps that gives the share of one of `now`.

    At a steady speed s of the fall the share is (1 − t/T)^(3s): another T changes the base alone. A
    run that goes on without an end is taken to be half done.
    """
    if step == 0:
        return 1.0
    return _log_left(step, now or 2 * step) / _log_left(step, before)


def _log_left(step: int, total_steps: int) -> float:
    return math.log1p(-min(step / total_steps, 1.0 - 0.5 / total_steps))
