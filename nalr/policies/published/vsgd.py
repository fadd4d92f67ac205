"""The greedy rate: the best next step by slope and curvature, both measured on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.moments.plain_step import is_plain_step
from nalr.moments.record import Moments
from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.statistics.averages import DecayedAverages
from nalr.statistics.intervals import fieller_interval, student_t_quantile

CLEAR = 0.9
"""Share of signal in |ḡ|² from which on a step needs no averaging."""


@dataclass(slots=True)
class _State:
    """All that changes, but for the averages."""

    min_lr: float = 0.0
    max_lr: float = 0.0
    rate: float = 0.0
    signal: float = math.nan  # Q of the step before
    squared_norm: float = math.nan  # |ḡ|² of the step before


class VSGD(Policy):
    """The best next step of plain SGD: η = Q/A, slope |G|² over curvature GᵀHG + tr(HΣ)/B along the step.

    vSGD of Schaul, Zhang & LeCun 2013 (arXiv 1206.1106) with one rate for all parameters,
    η* = (1/h) · |G|²/E|ḡ|², and the optimum of McCandlish et al. 2018 (arXiv 1812.06162) with its η_max
    measured: h · E|ḡ|² is A.

    Parameters
    ----------
    memory : float
        Steps that the averages remember, at least 2, while noise matters.
    confidence : float
        Level of the interval of Q/A, in (0, 1).

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range.

    Notes
    -----
    *Measured.* vSGD has h from a second backward pass. Here Q = |ḡ|² − tr Σ/B is the slope at the start of
    a step, p = ⟨ḡ′, ḡ⟩ with the fresh ḡ′ of the step after that at its end, both unbiased, and
    A = (Q − p)/η the change between. Var A grows as 1/η², so each step weighs by its η²: the rate is the
    average of η²Q over that of η(Q − p).

    *Memory.* A step whose noise tr Σ/B is below a tenth of |ḡ|² begins the averages anew, so that a rate
    far too large is corrected at once. All others are averaged over `memory` steps.

    *Where A is not significant.* The rate moves just into Fieller's interval of the averages' Q/A, with its
    variance from blocks of steps, and is held where it is inside already. The interval has no upper end
    where A may be zero, and a lower end of 0 where Q may be: the rate is held in the first steps, and
    where it is so small that noise hides A. A step with little noise and A ≤ 0 changes nothing.

    *Needs* two rows a step and plain SGD, which |s|² = η²|ḡ|² shows; other steps change nothing.

    *Known weaknesses.* It is the best rate for the next step and a bad one for the run: it falls like 1/t as
    soon as noise dominates, and slow directions never arrive (short-horizon bias, Wu et al. 2018, arXiv
    1803.02021). Without noise each rate is the best of the step before, that of Barzilai & Borwein (1988),
    and not monotone. In noise a rate far too small may stay so.

    Examples
    --------
    >>> import numpy as np
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(0.01, policy=VSGD())
    >>> x = np.array([3.0])
    >>> for _ in range(3):                                        # 2x², curvature 4: the best step is 1/4
    ...     lr = controller.get_adapted_lr([4 * x, 4 * x], loss=2 * float(x @ x))
    ...     x = x - lr * 4 * x
    >>> round(lr, 6), bool(abs(x[0]) < 1e-12)
    (0.25, True)
    """

    def __init__(self, *, memory: float = 20.0, confidence: float = 0.95) -> None:
        self.memory = _checks.real("memory", memory, "at least 2 and finite", 2.0, math.inf, closed="left")
        self.confidence = _checks.real("confidence", confidence, "in (0, 1)", 0.0, 1.0, closed="neither")
        self._state = _State()
        self._averages = self._new_averages()  # of η²Q and of η(Q − p)

    def __repr__(self) -> str:
        return f"VSGD(memory={self.memory!r}, confidence={self.confidence!r})"

    def _new_averages(self) -> DecayedAverages:
        return DecayedAverages(1.0 - 1.0 / self.memory)

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Start at the base rate."""
        self._state = _State(min_lr, max_lr, base_lr)
        self._averages = self._new_averages()

    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate that the steps so far show to be the best for the next."""
        s, moments = self._state, evidence.moments
        before = s.rate
        numbers = self._judge(moments, evidence.lr)
        s.signal, s.squared_norm = moments.signal, moments.mean_squared_norm
        reason = Reason.HOLD if evidence.step else Reason.START
        return Decision(s.rate, reason if s.rate == before else Reason.FORMULA, numbers)

    def _judge(self, moments: Moments, lr: float) -> dict[str, float]:
        """Take in the step that led here, if its two slopes are known, and set the rate."""
        s = self._state
        known = not math.isnan(moments.step_product + s.signal) and lr > 0.0
        if not (known and is_plain_step(moments, lr * lr * s.squared_norm)):
            return {}
        slope, change = lr * lr * s.signal, lr * s.signal - moments.step_product  # ⟨ḡ′, s⟩ is η p
        if not (math.isfinite(slope) and math.isfinite(change)):
            return {}
        if s.signal > CLEAR * s.squared_norm:
            self._averages = self._new_averages()
            self._set(slope / change if change > 0.0 else s.rate)
            return {"slope": slope, "change": change}
        self._averages.add(slope, change)
        return self._judge_averages()

    def _judge_averages(self) -> dict[str, float]:
        """Move the rate into the interval of the averages' Q/A, and no further."""
        slope, change = self._averages.first, self._averages.second
        covariance = self._averages.covariance()
        if covariance is None:
            return {"slope": slope, "change": change}
        t = student_t_quantile(self.confidence, covariance.degrees_of_freedom)
        low, high = fieller_interval(slope, change, covariance.first, covariance.second, covariance.both, t)
        self._set(min(max(self._state.rate, low), high))
        return {"slope": slope, "change": change, "low": low, "high": high}

    def _set(self, rate: float) -> None:
        self._state.rate = min(max(rate, self._state.min_lr), self._state.max_lr)

    def restart(self, lr: float) -> None:
        """Go on at `lr`, and measure anew."""
        self._state = _State(self._state.min_lr, self._state.max_lr, lr)
        self._averages = self._new_averages()

    def state_dict(self) -> dict[str, Any]:
        """Return the rate, the slope before and the averages."""
        return {"state": asdict(self._state), "averages": self._averages.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**state["state"])
        self._averages.load_state_dict(state["averages"])
