"""The Polyak step for an optimizer with momentum: MoMo, from sums alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.moments.record import Moments
from nalr.policies.base import Decision, Evidence, Policy, Reason


@dataclass(slots=True)
class _State:
    """All that changes. d is the average of the gradients along which the optimizer steps."""

    base_lr: float = 0.0  # α, the bound of the rate
    min_lr: float = 0.0
    rate: float = 0.0
    loss: float = math.nan  # f̄, the average of the losses; nan before the first
    offset: float = 0.0  # c = ⟨d, x⟩ − γ: what the tangents of old gradients are worth here
    squared_norm: float = math.nan  # |d|²; nan where a step that was not made hides it
    step: int = 0  # the last that was seen


class MoMo(Policy):
    """The Polyak step on averages of losses and gradients: η = min{α, (f̄ + ⟨d, x⟩ − γ − f*)₊ / |d|²}.

    Schaipp, Ohana, Eickenberg, Defazio & Gower 2023 (arXiv 2305.07583). With β `beta`, f* `lower_bound` and
    α `base_lr`, the averages are

        f̄ = β f̄ + (1 − β) f,    d = β d + (1 − β) ḡ,    γ = β γ + (1 − β) ⟨ḡ, x⟩

    and start at f, ḡ and ⟨ḡ, x⟩ of the first step. With `beta` 0 it is `PolyakStep` with c = 1.

    Parameters
    ----------
    beta : float
        β, in [0, 1): the momentum *of your optimizer*, which must step along d. That is torch's
        ``SGD(momentum=beta, dampening=beta)``, and plain SGD for 0.
    lower_bound : float
        f*, a lower bound of the loss; finite.

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range.

    Notes
    -----
    *No array is kept.* Of c = ⟨d, x⟩ − γ the products with the fresh gradient drop out, and with the last
    step s = η d, of which ⟨ḡ, s⟩ (`step_product`) and |s|² (`step_squared_norm`) are measured,

        c ← β (c − |s|²/η),    |d|² ← β² |s|²/η² + 2β(1 − β) ⟨ḡ, s⟩/η + (1 − β)² |ḡ|²

    both exactly. |d|² is measured anew each step, so that rounding does not add up.

    *Needs* the loss and the gradient of the same samples (around a torch optimizer that is
    `NoiseAdaptiveOptimizer`: the scheduler gets the loss a step late), and the path: `params` at each call
    of `get_adapted_lr` unless `beta` is 0. One row will do. Without the path the rate is held. After a step
    that was not made |d|² is unknown for one step, and the rate is held for it; the averages go on.

    *Known weaknesses.* It reads the level of the loss: a constant added to it, or a bound that is never
    reached, leaves the rate at α. Another optimizer than the one above is not what the formula is about;
    `agreement` in the evidence is |s|²/η² over the predicted |d|²: 1 for that optimizer. Weight decay within
    the step is not modelled. Parameters of few digits round steps at `min_lr` away.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(10.0, policy=MoMo(beta=0.5))
    >>> controller.get_adapted_lr([[3.0, 4.0]], loss=5.0, params=[2.0, 2.0])      # 5/(3² + 4²)
    0.2
    """

    def __init__(self, *, beta: float = 0.9, lower_bound: float = 0.0) -> None:
        self.beta = _checks.fraction("beta", beta)
        self.lower_bound = _checks.real(
            "lower_bound", lower_bound, "finite", -math.inf, math.inf, closed="neither"
        )
        self._state = _State()

    def __repr__(self) -> str:
        return f"MoMo(beta={self.beta!r}, lower_bound={self.lower_bound!r})"

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Take the base rate as the bound of the steps."""
        self._state = _State(base_lr, min_lr, base_lr)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate at which the averaged model of the loss meets its lower bound, or the base rate."""
        s = self._state
        agreement = self._advance(evidence)
        gap = max(s.loss + s.offset - self.lower_bound, 0.0)
        numbers = {
            "averaged_loss": s.loss,
            "offset": s.offset,
            "squared_norm": s.squared_norm,
            "agreement": agreement,
        }
        if not s.squared_norm > 0.0:  # also nan
            return Decision(s.rate, Reason.HOLD, numbers)
        numbers["polyak"] = gap / s.squared_norm
        s.rate = max(min(numbers["polyak"], s.base_lr), s.min_lr)
        reason = Reason.FORMULA if numbers["polyak"] >= s.min_lr else Reason.BOUND
        return Decision(s.rate, reason, numbers)

    def _advance(self, evidence: Evidence) -> float:
        """Take in a step; return how its length agrees with the prediction."""
        s, moments, beta = self._state, evidence.moments, self.beta
        missed, s.step = evidence.step > s.step + 1, evidence.step
        if math.isnan(s.loss) or beta == 0.0:
            s.loss, s.offset, s.squared_norm = evidence.loss, 0.0, moments.mean_squared_norm
            return math.nan
        if math.isnan(moments.step_product) or (missed and math.isnan(s.squared_norm)):
            s.loss, s.offset, s.squared_norm = evidence.loss, 0.0, math.nan  # begin anew, silent for now
            return math.nan
        s.loss = beta * s.loss + (1.0 - beta) * evidence.loss
        if missed:  # the step made here before was measured with values that were not finite
            s.offset = beta * (s.offset - s.rate * s.squared_norm)
        if evidence.lr > 0.0 and moments.step_squared_norm > 0.0:
            return self._follow(moments, evidence.lr)
        s.offset, s.squared_norm = s.offset if missed else beta * s.offset, math.nan
        return math.nan

    def _follow(self, moments: Moments, lr: float) -> float:
        """Take in the step s = η d that led here; return |d|² as measured over its prediction."""
        s, old, new = self._state, self.beta, 1.0 - self.beta
        before = moments.step_squared_norm / lr / lr
        agreement = before / s.squared_norm if s.squared_norm > 0.0 else math.nan
        overlap = moments.step_product / lr
        s.offset = old * (s.offset - lr * before)
        s.squared_norm = old * old * before + new * (2.0 * old * overlap + new * moments.mean_squared_norm)
        if not (math.isfinite(s.offset) and math.isfinite(s.squared_norm)):
            s.offset, s.squared_norm = 0.0, math.nan
        return agreement

    def restart(self, lr: float) -> None:
        """Begin the averages anew, with `lr` as the bound of the steps from here on."""
        self._state = _State(lr, self._state.min_lr, lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the averages and the rate."""
        return asdict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**state)
