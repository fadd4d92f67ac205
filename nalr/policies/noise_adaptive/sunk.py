"""A rate that has sunk far below what served the run: told once, and searched for again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr._checks import NoiseWarning
from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, Stretch, View

LOWERED = (Reason.CUT, Reason.BLOW_UP, Reason.EDGE, Reason.SHRINK, Reason.LEVEL)
"""Reasons of the measurements to lower the rate."""


@dataclass(frozen=True, kw_only=True)
class SunkSettings:
    """What has sunk."""

    sunk: float = 1000.0
    """A peak rate this many times below the highest at which the run gained something has sunk."""


@dataclass(slots=True)
class _State:
    """The highest rate that served, and what took it down since."""

    highest: float = 0.0
    sunk: bool = False
    told: bool = False
    cuts: int = 0
    edges: int = 0
    shrinks: int = 0
    levels: int = 0


class Sunk:
    """Follows the peak rate, and begins a new search where it has sunk and the signal is full.

    A rate may have to fall by powers of ten: the loss is another by now. But what took it down is past where
    fresh gradients say that more would pay, and from there growth at the pace of a long run would not return.
    """

    def __init__(self, settings: SunkSettings, certainty: float) -> None:
        self._settings, self._certainty = settings, certainty
        self.state = _State()

    def judge(self, view: View, course: Course) -> Move | None:
        """Return the first step of a new search, if one is due."""
        s, z = self.state, view.displacement.deviation
        if not s.sunk or course.searching or course.pause > 0 or not view.agreement.follows:
            return None
        if z is None or z < self._certainty:
            return None
        s.highest, s.sunk = course.rate, False
        stretch = Stretch(0, rise=None, harm=False)
        return Move(course.rate, Reason.RAMP, begins_search=True, stretch=stretch)

    def follow(self, move: Move, view: View, rate: float) -> None:
        """Take in the move that this step made from the peak rate `rate`."""
        s = self.state
        if move.rate < rate:
            s.cuts += move.reason in (Reason.CUT, Reason.BLOW_UP)
            s.edges += move.reason is Reason.EDGE
            s.shrinks += move.reason is Reason.SHRINK
            s.levels += move.reason is Reason.LEVEL
            if move.reason not in LOWERED:  # a planned descent, or the end of a kick
                s.highest *= move.rate / rate
        if move.rate >= s.highest and view.level.fall > view.level.noise:
            self.state = s = _State(move.rate, told=s.told)
        s.sunk = s.sunk or move.rate * self._settings.sunk < s.highest

    def tell(self, rate: float, step: int) -> None:
        """Warn, once a run, that the rate has sunk, and why."""
        s = self.state
        if not s.sunk or s.told:
            return
        s.told = True
        causes = (
            (s.cuts, "a rise of the loss that the steps caused"),
            (s.edges, "steps past the lowest point along them"),
            (s.shrinks, "the signal, which asked for a smaller rate"),
            (s.levels, "another level of the loss, which no step explains"),
        )
        named = ", ".join(f"{count} x by {cause}" for count, cause in causes if count)
        warnings.warn(
            f"The learning rate has sunk from {s.highest:.3g} to {rate:.3g} by step {step}: {named}. It is "
            "searched for again as soon as gradients show that a larger one pays; see whether the loss or "
            "the data changed.",
            NoiseWarning,
            stacklevel=2,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers."""
        return asdict(self.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.state = _State(**state)
