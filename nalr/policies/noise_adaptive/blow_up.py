"""Blow-up: the loss ran away, or the gradient exploded; where the steps did it, the rate is cut."""

from __future__ import annotations

from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Level, Move, Plan, Stretch, View


@dataclass(frozen=True, kw_only=True)
class BlowUpSettings:
    """What an explosion is, and how deep its cut."""

    runaway_share: float = 3.0
    """A loss above its best by this many times all that was gained, and …"""
    runaway_noise: float = 10.0
    """… this many standard deviations of its noise, and above the first, has run away, …"""
    runaway_reach: float = 1.0
    """… if κ, where known, is above this: the steps did it."""
    blow_up: float = 100.0
    """|ḡ|² at this many times its average is an explosion, …"""
    blow_up_reach: float = 2.0
    """… if κ, where known, is above the edge of stability."""
    blow_up_cut: float = 0.3
    """Rate factor on an explosion, or 1/κ where that is less, but …"""
    blow_up_least: float = 0.001
    """… no less than this: κ is measured badly there."""
    blow_up_wait: int = 2
    """Steps before an explosion can be cut again: until the cut has shown."""
    blow_up_overlap: float = 0.2
    """Where κ is not known, the last step must have ended uphill by this overlap, …"""
    blow_up_attributed: float = 0.3
    """… and the gradients' own account must show this share of the rise, …"""
    blow_up_lost: float = 0.4
    """… or of this share of all gained, where the loss has not risen."""
    blow_up_jump: float = 30.0
    """A step so many times longer than usual needs no account: gradients may vanish where it ended."""
    other_loss: int = 3
    """Explosions in a row that no step explains: then it is another loss, not an outlier."""
    clip: float = 4.0
    """A gradient longer than this many root-mean-squares is shortened to it, for its own step."""
    early: int = 10
    """Steps from the start in which one step that ends further up the other side is an explosion too."""


class BlowUp:
    """Cuts the rate at once, to the line minimum or below; a new stretch of the run begins."""

    def __init__(self, settings: BlowUpSettings, plan: Plan) -> None:
        self._settings, self._cooldown, self._base_lr = settings, plan.cooldown, plan.base_lr

    def judge(self, view: View, course: Course) -> Move | None:
        """Return the cut, if there is an explosion that no earlier cut was for."""
        c, early = self._settings, course.seen < self._settings.early
        if course.blown is not None and course.seen - course.blown <= c.blow_up_wait:
            return None
        reach = view.curvature.reach
        if not (early and view.curvature.overshot):
            if not self._exploded(view, course.seen):
                return None
            if not self._by_steps(view):
                return self._other_loss(view, course)
        minimum = 1.0 / reach if reach is not None and reach > 0.0 else c.blow_up_cut
        # Early on the pause is short, as more cuts may have to follow, and the search goes on.
        pause = min(2, self._cooldown) if early else self._cooldown // 2
        return Move(
            course.rate * max(min(c.blow_up_cut, minimum), c.blow_up_least),
            Reason.BLOW_UP,
            ends_search=not early,
            stretch=Stretch(pause, explosion=True, level=Level.MOVED),
        )

    def _by_steps(self, view: View) -> bool:
        """Whether the steps did it: a second witness beside the loss, or beside the gradients.

        Where κ is known it is that witness already. Without the sums of the path there is none.
        """
        if view.curvature.reach is not None or view.pathless:
            return True
        c, level = self._settings, view.level
        if view.overlap.jump > c.blow_up_jump:
            return True
        if view.overlap.last > -c.blow_up_overlap:
            return False
        lost = level.best + c.blow_up_lost * level.fall  # where gradients alone exploded
        return level.explains(max(view.loss, lost), c.blow_up_attributed)

    def _other_loss(self, view: View, course: Course) -> Move | None:
        """Renew the levels where loss or gradients went up for good and no step explains it.

        What was gained by a larger rate than the user's own was gained on another loss. Adam's steps keep
        their length; those of SGD, which grow with the gradients, are shortened for good.
        """
        level = Level.NEW if view.level.above else Level.GRADIENTS
        if max(view.level.above, view.gradient.above) < self._settings.other_loss:
            return None
        clip = self._settings.clip
        shorter = clip / max(view.overlap.stretch, clip)
        rate = min(course.rate, self._base_lr) * shorter
        return Move(rate, Reason.LEVEL, ends_search=True, stretch=Stretch(0, level=level))

    def _exploded(self, view: View, seen: int) -> bool:
        c, reach = self._settings, view.curvature.reach
        if seen <= 2 and reach is None:
            return False
        runs_away = seen > 2 and (reach is None or reach > c.runaway_reach)
        if runs_away and view.level.above:
            return True
        unstable = reach is None or reach > c.blow_up_reach
        return unstable and view.gradient.above > 0
