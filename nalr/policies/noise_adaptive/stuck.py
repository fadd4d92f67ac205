"""Whether a run is stuck where noise does not explain it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nalr.policies.noise_adaptive.view import Course, Plan, View


@dataclass(frozen=True, kw_only=True)
class StuckSettings:
    """What distinguishes a run that is stuck from one that is finished, slow, or descending."""

    kick_wait: float = 40.0
    """Steps of a reference run without progress that call for a kick; inf for a run without kicks."""
    stuck_still: int = 8
    """Without noise the gradient persists to the end; after so many steps that promise nothing the wait is
    over: progress is no question of noise."""
    stuck_floor: float = 0.002
    """Stuck rather than finished: the noise floor is below this share of what was gained (or of one loss's
    noise where nothing was)."""
    stuck_steep: float = 0.4
    """Slow average of κ above which the curvature, not a lack of rate, is what ends progress."""
    stuck_signal: float = 0.3
    """Displacement signal below which a larger rate is not simply wanted."""
    stuck_persistence: float = 0.3
    """Persistence of the gradient below which it leads nowhere."""

    noise_free: float = 0.001
    """Without noise (tr Σ/B below this share of |ḡ|²) steps close to a line minimum reach it to rounding
    within some twenty, and then no rate leads out. There the trial cannot wait; it is made as soon as …"""
    noise_free_reach: float = 0.6
    """… κ is above this, …"""
    noise_free_after: int = 20
    """… after so many steps: the measurements mean little until then."""

    bouncing: float = 20.0
    """|ḡ|² above this many times tr Σ/B is no noise; about a minimum it averages less than twice. …"""
    bouncing_promise: float = 0.1
    """… With a step that promises this share of all gained, the run bounces already and needs no kick."""


Found = Literal["stuck", "noise-free", "bouncing"]


class Stuck:
    """Distinguishes a run that needs a trial of larger rates from one that does not."""

    def __init__(self, settings: StuckSettings, plan: Plan) -> None:
        self._settings = settings
        self._wait = settings.kick_wait / math.sqrt(plan.pace)

    def find(self, view: View, course: Course) -> Found | None:
        """Return the state of a run that makes no progress; None while there is no sign of that."""
        free = course.searching and self._noise_free(view)
        if not (free or self._stands_still(view)):
            return None
        if self._bounces(view, course.rate):
            return "bouncing"
        return "noise-free" if free else "stuck"

    def _stands_still(self, view: View) -> bool:
        """Whether there was no progress for long, and noise, slow descent or a low rate do not explain it."""
        c, progress = self._settings, view.progress
        return (
            (progress.unmoved > self._wait or progress.still > c.stuck_still)
            and (view.floor or 0.0) <= c.stuck_floor * view.level.gained
            and view.curvature.steep > c.stuck_steep
            and view.displacement.signal < c.stuck_signal
            and (view.gradient.persistence < c.stuck_persistence or progress.unpromising)
        )

    def _noise_free(self, view: View) -> bool:
        """Whether there is no noise that would keep a way out open, near a line minimum."""
        c, reach, noise = self._settings, view.curvature.reach, view.noise
        return (
            view.step > c.noise_free_after
            and reach is not None
            and reach > c.noise_free_reach
            and noise is not None
            and noise < c.noise_free * min(view.squared_norm, view.gradient.recent)
        )

    def _bounces(self, view: View, rate: float) -> bool:
        """Whether the run passes over bumps already: gradients far above the noise that undo each other."""
        c, recent = self._settings, view.gradient.recent
        return (
            not view.progress.still
            and view.noise is not None
            and recent > c.bouncing * view.noise
            and rate * recent > c.bouncing_promise * view.level.gained
        )
