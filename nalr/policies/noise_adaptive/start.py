"""The first step: the base rate, or less where its step promises more than the loss can give."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.view import Course, Move, Plan, View


@dataclass(frozen=True, kw_only=True)
class StartSettings:
    """What the first step may promise."""

    first_gain: float = 0.5
    """The first step may promise at most this share of the loss, η|ḡ|² ≤ .5·|L|: more is past any minimum
    of a loss that ends near zero. A constant added to the loss loosens this guard, and nothing else."""
    first_longest: float = 0.02
    """The longest first step, in lengths of the parameters: from fifty of them nothing is left of a start."""
    first_least: float = 0.001
    """No loss, however small, makes the first step shorter than this: tuned runs take steps of .01 to .05."""
    first_gain_other: float = 0.1
    """The same of other optimizers' steps, known once made: those that follow keep their length, as gradients
    fall, and a network's units die of a few steps that are too long."""


class Start:
    """Answers the base rate, unless its step promises too much of the loss or is long for its parameters.

    Each of the two is the other's second witness. A loss may be near zero by construction: it alone makes no
    step shorter than `first_least`. A constant may have been added to it, or none may be given: no step is
    longer than `first_longest`. Where |x| is not known, or zero, the loss alone decides.
    """

    def __init__(self, settings: StartSettings, plan: Plan) -> None:
        self._settings, self._plan = settings, plan

    def judge(self, view: View, course: Course) -> Move:
        """Return the first rate."""
        promise = self._plan.base_lr * view.squared_norm
        length = self._plan.base_lr * math.sqrt(view.squared_norm / view.parameters_squared_norm)
        share = self._share(promise, self._settings.first_gain * abs(view.loss), length)
        return Move(max(share * course.rate, self._plan.min_lr) if share < 1.0 else course.rate, Reason.START)

    def share(self, promise: float, loss: float, length: float) -> float:
        """Return the share to keep of a first step that was made and promised to lower the loss by `promise`.

        `judge` guards plain SGD before the step. What others make of a gradient shows in the step alone: the
        first one of Adam moves every parameter by the rate, however small the gradient. `length` is the
        step's, relative to the parameters; nan where it is not known.
        """
        return self._share(promise, self._settings.first_gain_other * abs(loss), length)

    def _share(self, promise: float, most: float, length: float) -> float:
        c = self._settings
        share = most / promise if 0.0 < most < promise else 1.0
        if not 0.0 < length < math.inf:
            return share
        return min(max(share, c.first_least / length), c.first_longest / length, 1.0)
