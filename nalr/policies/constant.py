"""The rate that does not adapt: the baseline, and the smallest example of a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nalr.policies.base import Decision, Evidence, Policy, Reason


class Constant(Policy):
    """Answers `base_lr` at every step.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(base_lr=0.1, policy=Constant())
    >>> controller.get_adapted_lr([[1.0, 2.0], [3.0, 4.0]], loss=1.0)
    0.1
    """

    def __init__(self) -> None:
        self._base_lr = 0.0

    def __repr__(self) -> str:
        return "Constant()"

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Take the base rate."""
        self._base_lr = base_lr

    def decide(self, evidence: Evidence) -> Decision:
        """Return the base rate."""
        return Decision(self._base_lr, Reason.CONSTANT, {})

    def skip(self, lr: float, repeated: int) -> float:
        """Return the base rate: even a step that was not finite changes nothing."""
        return self._base_lr

    def state_dict(self) -> dict[str, Any]:
        """Return the base rate."""
        return {"base_lr": self._base_lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the base rate."""
        self._base_lr = float(state["base_lr"])
