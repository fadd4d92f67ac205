"""Cooling: a linear descent after a kick, in the place of the anneal."""

from __future__ import annotations

from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, View


@dataclass(frozen=True, kw_only=True)
class CoolingSettings:
    """Where the descent ends if the horizon is not known; else at zero, at the horizon."""

    cool_factor: float = 3.0
    """The rate falls to this part: bumps begin to hold a run at rates just below those that free it, so
    that is where it must come down slowly."""
    cool_steps: int = 1000
    """Steps that it takes for that."""


@dataclass(slots=True)
class Descent:
    """A straight line between two steps."""

    start: int = 0
    end: int = 1
    first_rate: float = 0.0
    last_rate: float = 0.0


class Cooling:
    """Lowers the rate step by step to where bumps hold the run again."""

    def __init__(self, settings: CoolingSettings, total_steps: int | None) -> None:
        self._settings, self._total_steps = settings, total_steps
        self.descent = Descent()

    def begin(self, step: int, rate: float) -> None:
        """Plan the descent from this step and rate."""
        if self._total_steps is None:
            end, last = step + self._settings.cool_steps, rate / self._settings.cool_factor
        else:
            end, last = max(self._total_steps, step + 1), 0.0
        self.descent = Descent(step, end, rate, last)

    def judge(self, view: View, course: Course) -> Move | None:
        """Return this step's rate of the descent; its last step ends it."""
        if not course.cooling:
            return None
        d = self.descent
        share = min((view.step - d.start) / (d.end - d.start), 1.0)
        rate = d.first_rate + (d.last_rate - d.first_rate) * share
        return Move(rate, Reason.COOL, cooling=False if share >= 1.0 else None)
