"""The first step: the base rate, or less where its step promises more than the loss can give."""

from __future__ import annotations

from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, Plan, View


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """What the first step may promise."""

    first_gain: float = 0.5
    """The first step may promise at most this share of the loss, η|ḡ|² ≤ .5·|L|: more is past any minimum
    of a loss that ends near zero. A constant added to the loss loosens this guard, and nothing else."""
    first_gain_other: float = 0.1
    """The same of other optimizers' steps, known once made: those that follow keep their length, as gradients
    fall, and a network's units die of a few steps that are too long."""


class Start:
    """Answers the base rate, unless its step promises too much of the loss."""

    def __init__(self, settings: StartSettings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan

    def judge(self, view: View, course: Course) -> Move:
        """Return the first rate."""
        rate, most = course.rate, self._settings.first_gain * abs(view.loss)
        if 0.0 < most < self._plan.base_lr * view.squared_norm:
            rate = max(most / view.squared_norm, self._plan.min_lr)
        return Move(rate, Reason.START)

    def share(self, promise: float, loss: float) -> float:
        """Return the share to keep of a first step that was made and promised to lower the loss by `promise`.

        `judge` guards plain SGD before the step. What others make of a gradient shows in the step alone: the
        first one of Adam moves every parameter by the rate, however small the gradient.
        """
        most = self._settings.first_gain_other * abs(loss)
        return most / promise if 0.0 < most < promise else 1.0
