"""The rate that a batch of this noise deserves: McCandlish's optimum, given that of a batch without noise."""

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
    """All that changes. Averages are raw, and only clamped when they are read."""

    base_lr: float = 0.0  # η_max
    min_lr: float = 0.0
    signal: float = 0.0  # average of Q
    noise: float = 0.0  # average of tr Σ/B
    weight: float = 0.0  # Σ decay^age of the steps in both


class NoiseScaled(Policy):
    """The best next step at a batch of B rows: η = η_max / (1 + B_simple/B), with B_simple = tr Σ/|G|².

    McCandlish, Kaplan, Amodei & OpenAI Dota Team 2018 (arXiv 1812.06162), their ε_opt(B) with B_simple for
    B_noise. η_max, the best step without noise, is `base_lr`: the rate to give is that of very large batches.

    Parameters
    ----------
    memory : float
        Steps that the averages of |G|² and tr Σ remember; at least 1.

    Raises
    ------
    TypeError, ValueError
        If `memory` is outside of its range.

    Notes
    -----
    Measured are Q = |ḡ|² − tr Σ/B and tr Σ/B, both unbiased, averaged before they are clamped; the rate is
    η_max · Q₊/(Q₊ + tr Σ/B). It comes from the steps *before*, so that it does not depend on the gradient
    that it multiplies; the first is `base_lr`. Cost: a few sums a step.

    *Needs* two rows a step; steps of one row change nothing, and without others the rate is held.

    *Known weaknesses.* It looks at the next step alone, and so it shrinks as soon as noise rules, long before
    slow directions have arrived: short-horizon bias (Wu, Ren, Liao & Grosse 2018, arXiv 1803.02021). With the
    signal lost in noise the rate goes to `min_lr`, and comes back only when chance shows a signal. A wrong
    η_max stays wrong.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(0.3, policy=NoiseScaled())
    >>> rows = [[1.0], [3.0]]              # tr Σ = 2, tr Σ/B = 1, Q = 4 − 1 = 3
    >>> [round(controller.get_adapted_lr(rows, loss=1.0), 6) for _ in range(2)]
    [0.3, 0.225]
    """

    def __init__(self, *, memory: float = 20.0) -> None:
        self.memory = _checks.real("memory", memory, "at least 1 and finite", 1.0, math.inf, closed="left")
        self._state = _State()

    def __repr__(self) -> str:
        return f"NoiseScaled(memory={self.memory!r})"

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Take the base rate as η_max."""
        self._state = _State(base_lr, min_lr)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate that the noise of the steps before allows."""
        s = self._state
        known, signal, noise = s.weight > 0.0, s.signal, s.noise
        self._take_in(evidence.moments)
        if not known:
            return Decision(s.base_lr, Reason.HOLD if evidence.step else Reason.START, {})
        positive = max(signal, 0.0)
        share = positive / (positive + noise) if noise > 0.0 else 1.0
        lr = max(share * s.base_lr, s.min_lr)
        reason = Reason.FORMULA if lr > s.min_lr else Reason.BOUND
        return Decision(lr, reason, {"signal": signal, "noise_variance": noise, "share": share})

    def _take_in(self, moments: Moments) -> None:
        """Take the step into the averages, if its rows show their noise."""
        s = self._state
        if moments.num_rows < 2 or not math.isfinite(moments.signal - s.signal):
            return
        s.weight = (1.0 - 1.0 / self.memory) * s.weight + 1.0  # so that the first has a share of 1
        s.signal += (moments.signal - s.signal) / s.weight
        s.noise += (moments.total_variance / moments.total_weight - s.noise) / s.weight

    def restart(self, lr: float) -> None:
        """Take `lr` as η_max from here on, and measure anew."""
        self._state = _State(lr, self._state.min_lr)

    def state_dict(self) -> dict[str, Any]:
        """Return η_max and the averages."""
        return asdict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**state)
