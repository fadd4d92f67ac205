"""The peak rate in normal running: a search upwards, then growth and shrinking by the displacement signal."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, Plan, View


@dataclass(frozen=True, kw_only=True)
class GrowthSettings:
    """How fast the rate moves, and what leaves no room to grow."""

    # The first search.
    ramp: float = 1.0
    """Growth of log η over one window of the first search; a window has ten steps there."""
    ramp_floor: float = 0.5
    """Least share of that speed. In a bump the signal says nothing, and in the first steps it is noise."""
    ramp_floor_other: float = 0.1
    """The same with any other optimizer than plain SGD, which knows no edge that would end a search."""
    ramp_pace: float = 0.5
    """Runs shorter than 2000 steps search faster, by (2000/T) to this power: some risk for some time."""
    ramp_end: float = 1.0
    """The first search ends where the signal is below zero by this many standard errors, with κ below 1."""

    # After it.
    speed: float = 1.0
    """Change of log η over one window at full signal: gains fall as 1/t, as in all stochastic approximation
    (Robbins & Monro 1951), but start again after a change."""
    edge: float = 1.2
    """κ beyond which the rate backs off, …"""
    back_off: float = 0.05
    """… by this much of log η for each unit of κ, counted up to 2. Faster starves narrow valleys."""
    overlap_edge: float = 0.2
    """Where κ is not known: negative overlap beyond which the rate backs off, …"""
    overlap_back_off: float = 0.02
    """… by this much of log η for each multiple of the edge."""

    # Room to grow.
    room: float = 0.8
    """κ at which growth ends; it fades towards it, by the larger of a quick and a slow average."""
    overlap_room: float = 0.1
    """Where κ is not known: negative overlap at which growth ends, as steps then end, on average, uphill."""
    longest_step: float = 0.05
    """Where κ is not known: step over longest displacement at which growth begins to fade; it ends at twice
    that."""
    growing: float = 1.0
    """Growth fades while the quick average of |ḡ|² is above its slow one, and ends at 1 + this times it."""
    floor_share: float = 0.3
    """Growth ends where the noise floor reaches this share of all that the run has gained."""


class Growth:
    """Moves the peak rate whenever no other rule does."""

    def __init__(self, settings: GrowthSettings, plan: Plan) -> None:
        self._settings, self._base_lr = settings, plan.base_lr
        self._search_speed = settings.ramp * plan.pace**settings.ramp_pace

    def judge(self, view: View, course: Course) -> Move:
        """Return the rate of the search, or of the run after it."""
        if course.pause > 0 or view.pathless or view.squared_norm == 0.0:
            return Move(course.rate, Reason.HOLD)
        move = self._search(view, course.rate) if course.searching else self._track(view, course)
        lost = view.curvature.reach is None and not view.agreement.in_all
        if move.reason is Reason.EDGE or (view.agreement.follows and not lost):
            return move
        return self._unproven(view, course.rate, lost)

    def _unproven(self, view: View, rate: float, lost: bool) -> Move:
        """Return to the user's own rate, which needs no proof: the loss shows none for a larger one.

        From above only where the whole run shows none: `lost`.
        """
        speed = self._search_speed / view.displacement.window
        if rate < self._base_lr:
            return Move(min(rate * math.exp(speed * self._room(view)), self._base_lr), Reason.RAMP)
        back = max(rate * math.exp(-speed), self._base_lr) if lost else rate
        return Move(back, Reason.SHRINK if back < rate else Reason.HOLD)

    def _search(self, view: View, rate: float) -> Move:
        """Grow, by the signal but at a least speed, until the signal or the edge says that it is enough."""
        c, reach, deviation = self._settings, view.curvature.reach, view.displacement.deviation
        if deviation is not None and deviation < -c.ramp_end and (reach is None or reach < 1.0):
            return Move(rate, Reason.HOLD, ends_search=True)
        least = c.ramp_floor if view.plain else c.ramp_floor_other
        speed = self._search_speed / view.displacement.window * max(view.displacement.signal, least)
        rate *= math.exp(speed * self._room(view))
        if (reach is not None and reach > c.room) or uphill(view, c.overlap_room):
            return Move(rate, Reason.EDGE, ends_search=True)
        return Move(rate, Reason.RAMP)

    def _track(self, view: View, course: Course) -> Move:
        """Back off from the edge, else follow the signal; each cut so far makes growth more careful."""
        c, rate, reach, signal = self._settings, course.rate, view.curvature.reach, view.displacement.signal
        if uphill(view, c.overlap_edge):
            beyond = min(-(view.overlap.cosine or 0.0) - c.overlap_edge, 0.5) / c.overlap_edge
            return Move(rate * math.exp(-c.overlap_back_off * beyond), Reason.EDGE)
        if reach is not None and reach > c.edge:
            return Move(rate * math.exp(-c.back_off * min(reach - c.edge, 2.0)), Reason.EDGE)
        gain = c.speed / view.displacement.window * signal
        if signal > 0.0:
            return Move(rate * math.exp(gain / (1.0 + course.cuts) * self._room(view)), Reason.GROW)
        return Move(rate * math.exp(gain), Reason.SHRINK if signal < 0.0 else Reason.HOLD)

    def _room(self, view: View) -> float:
        """Return the share of a growth to allow: less where curvature, gradients or noise are high."""
        c, curvature, overlap, gradient = self._settings, view.curvature, view.overlap, view.gradient
        room = 1.0
        if curvature.reach is not None:
            # The larger of κ's quick and slow average: the quick one alone lets the rate slip upwards
            # through its own noise; networks die of that.
            room = _unit(1.0 - max(curvature.reach, curvature.steep) / c.room)
        elif overlap.cosine is not None:
            room = _unit(1.0 + overlap.cosine / c.overlap_room)
            if overlap.relative_length is not None:
                room *= _unit(2.0 - overlap.relative_length / c.longest_step)
        if gradient.typical is not None:
            room *= _unit(1.0 - (gradient.recent / gradient.typical - 1.0) / c.growing)
        if view.floor:
            gained = view.level.gained
            if curvature.reach is None:  # a loss that is near zero by construction has no fall to show
                gained = max(gained, view.level.promised)
            room *= _unit(1.0 - view.floor / (c.floor_share * gained)) if gained > 0.0 else 0.0
        return room


def uphill(view: View, limit: float) -> bool:
    """Whether steps whose κ is not known end uphill by an overlap of more than `limit`."""
    cosine = view.overlap.cosine
    return view.curvature.reach is None and cosine is not None and cosine < -limit


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
