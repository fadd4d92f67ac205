"""The anneal to a known horizon: it waits while there is something left to descend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Anneal:
    """The share of the peak rate that is left.

    With nothing but noise to fight, the best schedules fall early and fast, about as (1 − t/T)³; where a slow
    descent goes on, they hold the rate to the end. Which of the two a run needs is measured: the speed of the
    fall is 1/(1 + slow gain/(c F)), F the noise floor.
    """

    share: float = 1.0

    MOST = 0.5
    """The largest part that one step may take off."""

    def advance(self, remaining: int, slow: float, floor: float, power: float, slow_floors: float) -> None:
        """Take one step off the share, with `remaining` steps to go and this slow gain and noise floor."""
        if floor > 0.0:
            speed = 1.0 / (1.0 + max(slow, 0.0) / (slow_floors * floor))
            self.share *= 1.0 - min(power * speed / max(remaining, 1), self.MOST)

    def at(self, step: int, total_steps: int, forced: float) -> float:
        """Return the share at a step: less in the last part of the run, but never zero."""
        left = max(1.0 - step / total_steps, 0.5 / total_steps)
        return min(self.share, left / forced)
