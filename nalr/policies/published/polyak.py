"""The step that would bring a loss to its lower bound, if the loss were its own tangent: SPS_max."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.policies.base import Decision, Evidence, Policy, Reason


@dataclass(slots=True)
class _State:
    """The bounds of the rate, and the rate."""

    base_lr: float = 0.0  # γ_b, the paper's bound of the step
    min_lr: float = 0.0
    rate: float = 0.0


class PolyakStep(Policy):
    """The stochastic Polyak step, bounded: η = min{(f − f*) / (c |ḡ|²), γ_b}.

    SPS_max of Loizou, Vaswani, Laradji & Lacoste-Julien 2021 (arXiv 2002.10542). f is the step's loss, f* is
    `lower_bound`, γ_b is `base_lr`.

    Parameters
    ----------
    lower_bound : float
        f*, a lower bound of the loss of a minibatch; finite. Zero is right for losses that a model can
        bring to zero.
    c : float
        Positive: .5 is the paper's choice for strongly convex losses, 1 for convex ones. Steps fall as 1/c.

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range.

    Notes
    -----
    Needs loss and gradient of the same samples, and plain SGD; one row will do. (Around a torch optimizer
    that is `NoiseAdaptiveOptimizer`: the scheduler gets the loss a step late.) Where the loss is at its
    bound the rate is `min_lr`; where the gradient is zero it is held.

    Known weaknesses: it reads the *level* of the loss, so a constant added to it, or a bound that is not
    reached, makes the steps too long: they then stay at γ_b, and noise is never averaged out. A small
    gradient on a plateau asks for a long step: γ_b alone stops it.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(10.0, policy=PolyakStep())
    >>> controller.get_adapted_lr([[2.0, 1.0], [4.0, 7.0]], loss=5.0)      # 5/(.5·(3² + 4²))
    0.4
    """

    def __init__(self, *, lower_bound: float = 0.0, c: float = 0.5) -> None:
        self.lower_bound = _checks.real(
            "lower_bound", lower_bound, "finite", -math.inf, math.inf, closed="neither"
        )
        self.c = _checks.positive("c", c)
        self._state = _State()

    def __repr__(self) -> str:
        return f"PolyakStep(lower_bound={self.lower_bound!r}, c={self.c!r})"

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Take the base rate as the bound of the steps."""
        self._state = _State(base_lr, min_lr, base_lr)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the step's rate."""
        s, squared_norm = self._state, evidence.moments.mean_squared_norm
        gap, scaled = evidence.loss - self.lower_bound, self.c * squared_norm
        if not scaled > 0.0:
            return Decision(s.rate, Reason.HOLD, {"gap": gap, "squared_norm": squared_norm})
        polyak = max(gap, 0.0) / scaled
        s.rate = max(min(polyak, s.base_lr), s.min_lr)
        reason = Reason.FORMULA if polyak >= s.min_lr else Reason.BOUND
        return Decision(s.rate, reason, {"gap": gap, "squared_norm": squared_norm, "polyak": polyak})

    def restart(self, lr: float) -> None:
        """Take `lr` as the bound of the steps from here on."""
        self._state.base_lr = self._state.rate = lr

    def state_dict(self) -> dict[str, Any]:
        """Return the bounds and the rate."""
        return asdict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**state)
