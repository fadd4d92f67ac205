"""Schedules fixed before the run: a warm-up, then a fall to zero at `total_steps`."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.policies.base import Decision, Evidence, Policy, Reason


@dataclass(slots=True)
class _Plan:
    """What `begin` was given; it does not change after."""

    base_lr: float = 0.0
    total_steps: int = 0


class Schedule(Policy):
    """A rate that depends on the step alone: what is measured changes nothing.

    Parameters
    ----------
    warmup : float
        Share of the steps, in [0, 1), over which the rate rises in a straight line to `base_lr`; the fall has
        the others. One is not in the range, since the fall must have a step.
    """

    def __init__(self, *, warmup: float = 0.05) -> None:
        self.warmup = _checks.fraction("warmup", warmup)
        self._plan = _Plan()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(warmup={self.warmup!r})"

    @abstractmethod
    def fall(self, done: float) -> float:
        """Return the rate over `base_lr` when this share of the fall is done, in [0, 1): from 1 towards 0."""

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Take the peak and the end.

        Raises
        ------
        ValueError
            If there is no end.
        """
        if total_steps is None:
            raise ValueError(
                f"`total_steps` must be given with {self!r}, got None. It says where the rate comes to zero."
            )
        self._plan = _Plan(base_lr, total_steps)

    def decide(self, evidence: Evidence) -> Decision:
        """Return the planned rate."""
        total = self._plan.total_steps
        rising = min(round(self.warmup * total), total - 1)
        step = min(evidence.step, total - 1)  # after the end the last rate stays: zero is no rate
        if step < rising:
            share, reason = (step + 1) / rising, Reason.RAMP
        else:
            share, reason = self.fall((step - rising) / (total - rising)), Reason.ANNEAL
        return Decision(self._plan.base_lr * share, reason, {"share": share, "step": float(step)})

    def restart(self, lr: float) -> None:
        """Do nothing: the plan knows the step, and goes on from there."""

    def state_dict(self) -> dict[str, Any]:
        """Return the plan."""
        return asdict(self._plan)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the plan."""
        self._plan = _Plan(**state)

    def load_other_plan(self, state: Mapping[str, Any], step: int, total_steps: int | None) -> None:
        """Keep the plan of `begin`, which is all that there is."""


class WarmupCosine(Schedule):
    """A straight warm-up, then half a wave of a cosine: η = ½ η₀ (1 + cos πu), u the share of the fall.

    Loshchilov & Hutter 2017 (SGDR, arXiv 1608.03983, without its restarts); the warm-up of Goyal et al. 2017
    (arXiv 1706.02677). The first step of the fall has the full rate, and zero would come one step after the
    last, as in torch's CosineAnnealingLR.

    Parameters
    ----------
    warmup : float
        Share of the steps, in [0, 1), that rise in a straight line to `base_lr`.

    Raises
    ------
    ValueError
        By `begin`, and so by the controller at construction, without `total_steps`.

    Notes
    -----
    Needs a `base_lr` that was tuned for the problem and for `total_steps`, and measures nothing. Cost: one
    cosine a step.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(0.1, total_steps=4, policy=WarmupCosine(warmup=0.25))
    >>> [round(controller.get_adapted_lr([[1.0], [2.0]], loss=1.0), 3) for _ in range(4)]
    [0.1, 0.1, 0.075, 0.025]
    """

    def fall(self, done: float) -> float:
        """Return ½(1 + cos πu)."""
        return 0.5 * (1.0 + math.cos(math.pi * done))


class WarmupLinear(Schedule):
    """A straight warm-up, then a straight line to zero: η = η₀ (1 − u), u the share of the fall.

    The schedule that Defazio et al. 2023 (arXiv 2310.07831) find best in theory for the last iterate, and
    hard to beat in practice; the warm-up of Goyal et al. 2017 (arXiv 1706.02677).

    Parameters
    ----------
    warmup : float
        Share of the steps, in [0, 1), that rise in a straight line to `base_lr`.

    Raises
    ------
    ValueError
        By `begin`, and so by the controller at construction, without `total_steps`.

    Notes
    -----
    Needs a `base_lr` that was tuned for the problem and for `total_steps`, and measures nothing.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(0.1, total_steps=4, policy=WarmupLinear(warmup=0.5))
    >>> [round(controller.get_adapted_lr([[1.0], [2.0]], loss=1.0), 3) for _ in range(4)]
    [0.05, 0.1, 0.1, 0.05]
    """

    def fall(self, done: float) -> float:
        """Return 1 − u."""
        return 1.0 - done
