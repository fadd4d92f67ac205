"""A schedule made for small batches, sped up by what a larger one gains over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.moments.record import Moments
from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.constant import Constant

MEMORY = 1000.0
"""Rows that the averages remember: the paper's θ = max{1 − S/1000, 0} a step."""


@dataclass(slots=True)
class _State:
    """All that changes, but for the schedule's own state."""

    noise: float = 0.0  # average of σ²/S, the noise of a step's mean gradient
    signal: float = 0.0  # average of μ²
    count: int = 0  # steps in both
    iterations: float = 0.0  # τ, in steps of the schedule's own batch


class AdaScale(Policy):
    """A base schedule times the gain r = (σ² + μ²)/(σ²/S + μ²) of a batch S times as large, in [1, S].

    Johnson, Agrawal, Gu & Guestrin 2020 (arXiv 2007.05105). One step of the large batch does the work of r
    steps of the small: the schedule is read at τ, the sum of the gains so far, η = r · lr(⌊τ⌋).

    Parameters
    ----------
    schedule : Policy, optional
        lr(·), made for the small batch; it sees ⌊τ⌋ for the step. `Constant()` by default; `WarmupLinear()`
        and its like take `total_steps` as *their* length: the run is over when τ reaches it, sooner.
    scale : float, optional
        S, how many batches of the schedule's size make one of yours; at least 1. By default the number of
        rows of a step: each is a batch then.

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range.

    Notes
    -----
    With B the samples of a step, σ² = S · tr Σ/B is the variance of the gradient of a small batch, and
    μ² = |ḡ|² − tr Σ/B the squared norm of the gradient's mean. Both are averaged by the paper's
    θ = max{1 − S/1000, 0}, as plain means until 1000/S steps have come; μ² is clamped when it is read, not
    before. The gain of a step comes from the steps before it, so that it does not depend on the gradient that
    it multiplies; the first is 1. Cost: a few sums a step.

    *Needs* two rows a step; steps of one row leave the averages alone, and so the gain at 1 if there are no
    others.

    *Known weaknesses.* The base rate must be tuned for the small batch; r does not correct it. It is derived
    for plain SGD. The length of the run is not known before.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(0.1, policy=AdaScale())
    >>> rows = [[1.0], [3.0]]         # S = 2, σ² = 2, μ² = 4 − 1 = 3, r = (2 + 3)/(1 + 3) = 1.25
    >>> [controller.get_adapted_lr(rows, loss=1.0) for _ in range(2)]
    [0.1, 0.125]
    """

    def __init__(self, schedule: Policy | None = None, *, scale: float | None = None) -> None:
        if schedule is not None and not isinstance(schedule, Policy):
            raise TypeError(f"`schedule` must be a Policy, got {schedule!r}.")
        self.schedule: Policy = Constant() if schedule is None else schedule
        self.scale = (
            None
            if scale is None
            else _checks.real("scale", scale, "at least 1 and finite", 1.0, math.inf, closed="left")
        )
        self._state = _State()

    def __repr__(self) -> str:
        return f"AdaScale({self.schedule!r}, scale={self.scale!r})"

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Begin the schedule, at τ = 0."""
        self.schedule.begin(base_lr, min_lr, max_lr, total_steps, cooldown)
        self._state = _State()

    def decide(self, evidence: Evidence) -> Decision:
        """Return the schedule's rate at τ times the gain."""
        s, moments = self._state, evidence.moments
        scale = float(moments.num_rows) if self.scale is None else self.scale
        gain = self._gain(scale)
        planned = self.schedule.decide(evidence._replace(step=int(s.iterations)))
        numbers = {
            "gain": gain,
            "scale": scale,
            "iterations": s.iterations,
            "planned_lr": planned.lr,
            "noise_variance": s.noise,
            "signal": s.signal,
        }
        reason = Reason.FORMULA if s.count else planned.reason
        s.iterations += gain
        self._take_in(moments, scale)
        return Decision(gain * planned.lr, reason, numbers)

    def _gain(self, scale: float) -> float:
        """Return r, by the averages so far."""
        noise, signal = self._state.noise, max(self._state.signal, 0.0)
        return 1.0 + (scale - 1.0) * (noise / (noise + signal)) if noise > 0.0 else 1.0

    def _take_in(self, moments: Moments, scale: float) -> None:
        """Take the step into the averages, if its rows show their noise."""
        s = self._state
        if moments.num_rows < 2 or not math.isfinite(moments.signal - s.signal):
            return
        s.count += 1
        share = max(1.0 / s.count, min(scale / MEMORY, 1.0))
        s.noise += share * (moments.total_variance / moments.total_weight - s.noise)
        s.signal += share * (moments.signal - s.signal)

    def restart(self, lr: float) -> None:
        """Let the schedule go on at `lr`; τ stays, and the gain is measured anew."""
        self.schedule.restart(lr)
        self._state = _State(iterations=self._state.iterations)

    def state_dict(self) -> dict[str, Any]:
        """Return τ, the averages and the schedule's state."""
        return {"state": asdict(self._state), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._state = _State(**state["state"])
        self.schedule.load_state_dict(state["schedule"])

    def load_other_plan(self, state: Mapping[str, Any], step: int, total_steps: int | None) -> None:
        """Take the state; the schedule goes on by the plan of `begin`."""
        self._state = _State(**state["state"])
        self.schedule.load_other_plan(state["schedule"], step, total_steps)
