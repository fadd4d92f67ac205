"""Harm: the smoothed loss rose beyond chance, and the steps did it."""

from __future__ import annotations

from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, Plan, Stretch, View


@dataclass(frozen=True, kw_only=True)
class HarmSettings:
    """When a rise of the loss is harm, and what the rate pays for it."""

    harm_errors: float = 3.0
    """A rise of the smoothed loss is harm when it exceeds this many standard errors, and …"""
    harm_share: float = 0.4
    """… this share of all that the run has gained (passing bumps costs a little), and …"""
    harm_attributed: float = 0.3
    """… the gradients' own account shows at least this share of it, so that the steps did it, and …"""
    harm_reach: float = 0.25
    """… κ, if known, is above this: at smaller steps a rate cannot be at fault."""
    cut: float = 0.5
    """Rate factor on harm."""


class Harm:
    """Halves the rate; a new stretch of the run begins."""

    def __init__(self, settings: HarmSettings, plan: Plan) -> None:
        self._settings, self._cooldown = settings, plan.cooldown

    def judge(self, view: View, course: Course) -> Move | None:
        """Return the cut, if the loss rose by the steps' doing.

        Without the sums of the path nothing shows what the steps did, and the loss alone decides.
        """
        c, level, reach = self._settings, view.level, view.curvature.reach
        rise = level.value - level.best
        if course.pause > 0 or course.seen <= 3 or not rise > c.harm_errors * level.standard_error:
            return None
        if course.cooling and level.value < level.first + level.fall:
            return None
        attributed = level.attributed - level.attributed_best
        if not (
            rise > c.harm_share * level.fall
            and (reach is None or reach > c.harm_reach)
            and (view.pathless or attributed > c.harm_attributed * rise)
        ):
            return None
        stretch = Stretch(self._cooldown, rise=0.5 * rise)
        return Move(course.rate * c.cut, Reason.CUT, ends_search=True, stretch=stretch)
