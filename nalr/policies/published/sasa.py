"""A rate that is cut when a test finds the run stationary: SASA+."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.statistics.batch_means import BatchMeans


@dataclass(slots=True)
class _State:
    """All that changes, but for the series."""

    rate: float = 0.0
    min_lr: float = 0.0
    distance: float = math.nan  # |x₀ − x|² at the step before; nan while unknown
    step: int = 0  # … and its number
    seen: int = 0  # steps since the last cut


class SASA(Policy):
    """Multiplies the rate by `factor` when the process x is found to be stationary at the present one.

    The test of SASA+ (Zhang, Lang, Liu & Xiao 2020, arXiv 2002.10597), after SASA (Lang, Zhang & Xiao 2019,
    arXiv 1909.09785) and Yaida 2018 (arXiv 1810.00004): with steps x ← x − η d of any optimizer, a stationary
    x has

        E Δ = 0,    Δ = ⟨x, d⟩ − ½ η |d|²

    and the rate is cut when a confidence interval of E Δ contains zero.

    Parameters
    ----------
    factor : float
        ζ, what a cut leaves of the rate, in (0, 1).
    confidence : float
        1 − δ, level of the interval, in (0, 1): larger cuts sooner, since a wider interval holds zero.
    share : float
        θ, share of the steps since the last cut that the test looks at, the newest; in (0, 1].
    fewest : int
        Steps that the test must look at; at least 16, one for each batch. They make 16 to 32 batches, each of
        which should outlast the memory of the steps. No cut comes sooner than fewest/share steps.
    every : int
        Steps from one test to the next, at least 1.

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range.

    Notes
    -----
    *Measured.* With x counted from the start x₀, Δ = (|x₀ − x|² − |x₀ − x′|²)/2η exactly, for any optimizer.
    Values of Δ are correlated, so the interval is from batch means; see ``docs/policies.md``.

    *Needs* the path, and nothing else; one row will do. Steps without it are left out.

    *Known weaknesses.* Repeated tests accept by chance, sooner or later. Δ adds up to a difference of two
    lengths: a run that moves around x₀ at one distance looks stationary, and so does a drift below the noise
    of the interval. The rate never rises.

    Examples
    --------
    >>> import numpy as np
    >>> from nalr import NoiseAdaptiveLR
    >>> rng = np.random.default_rng(0)
    >>> controller = NoiseAdaptiveLR(0.1, policy=SASA(share=0.5, fewest=200))
    >>> x = np.array([5.0, 5.0])
    >>> for _ in range(1000):
    ...     rows = x + rng.normal(size=(4, 2))
    ...     x = x - controller.get_adapted_lr(rows, loss=float(x @ x)) * rows.mean(axis=0)
    >>> controller.history.reason_counts["stall"] >= 1
    True
    """

    def __init__(
        self,
        *,
        factor: float = 0.1,
        confidence: float = 0.95,
        share: float = 0.125,
        fewest: int = 1000,
        every: int = 100,
    ) -> None:
        self.factor = _checks.real("factor", factor, "in (0, 1)", 0.0, 1.0, closed="neither")
        self.confidence = _checks.real("confidence", confidence, "in (0, 1)", 0.0, 1.0, closed="neither")
        self.share = _checks.real("share", share, "in (0, 1]", 0.0, 1.0, closed="right")
        self.fewest = _checks.count("fewest", fewest, 16)
        self.every = _checks.count("every", every, 1)
        self._state = _State()
        self._series = BatchMeans(self.share)

    def __repr__(self) -> str:
        return (
            f"SASA(factor={self.factor!r}, confidence={self.confidence!r}, share={self.share!r}, "
            f"fewest={self.fewest!r}, every={self.every!r})"
        )

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Start at the base rate."""
        self._state = _State(base_lr, min_lr)
        self._series.reset()

    def decide(self, evidence: Evidence) -> Decision:
        """Take in the step that led here; return the rate, lower where a test has just said so."""
        s = self._state
        delta = self._measure(evidence)
        if not math.isfinite(delta) or s.seen % self.every:
            return Decision(s.rate, Reason.HOLD, {"delta": delta})
        test = self._series.reading(self.confidence)
        numbers = {
            "delta": delta,
            "mean": test.mean,
            "low": test.low,
            "high": test.high,
            "length": float(test.length),
        }
        if not (test.length >= self.fewest and test.low <= 0.0 <= test.high):
            return Decision(s.rate, Reason.HOLD, numbers)
        self._begin_stretch(max(self.factor * s.rate, s.min_lr))
        return Decision(s.rate, Reason.STALL, numbers)

    def _measure(self, evidence: Evidence) -> float:
        """Return Δ of the step that led here, and count it; nan where the step or the path is not known."""
        s, moments, lr = self._state, evidence.moments, evidence.lr
        before, here = s.distance, moments.displacement_squared_norm
        starts = math.isnan(moments.step_squared_norm)  # a path that starts here is at its x₀
        one_step = lr > 0.0 and not starts and evidence.step <= s.step + 1
        s.distance, s.step = 0.0 if starts else here, evidence.step
        delta = (before - here) / (2.0 * lr) if one_step else math.nan
        if math.isfinite(delta):
            self._series.update(delta)
            s.seen += 1
        return delta

    def _begin_stretch(self, rate: float) -> None:
        """Go on at `rate`, with an empty series."""
        self._series.reset()
        self._state.rate, self._state.seen = rate, 0

    def restart(self, lr: float) -> None:
        """Go on at `lr`, and test anew."""
        self._begin_stretch(lr)
        self._state.distance = math.nan

    def state_dict(self) -> dict[str, Any]:
        """Return the rate, the last distance and the series."""
        return {"state": asdict(self._state), "series": self._series.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**state["state"])
        self._series.load_state_dict(state["series"])
