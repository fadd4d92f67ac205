"""A rate that is cut when the loss stops falling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nalr import _checks
from nalr.policies.base import Decision, Evidence, Policy, Reason

MODES = ("rel", "abs")


@dataclass(slots=True)
class _State:
    """All that changes; losses are means over `every` steps."""

    rate: float = 0.0
    best: float = math.inf  # the lowest loss that counted as progress
    bad: int = 0  # losses in a row that did not
    pause: int = 0  # losses still to come in which none counts
    total: float = 0.0  # of the losses of the present mean
    count: int = 0  # … and how many


class Plateau(Policy):
    """Multiplies the rate by `factor` after more than `patience` losses in a row without progress.

    The rule of torch's ReduceLROnPlateau in its "min" mode, step for step. A loss is progress if it is below
    best · (1 − threshold) ("rel") or best − threshold ("abs").

    Parameters
    ----------
    factor : float
        What a cut leaves of the rate, in (0, 1).
    patience : int
        Losses without progress that are borne; at least 0.
    threshold : float
        How far below the best a loss must be; at least 0, so that an equal loss is none.
    threshold_mode : str
        "rel" or "abs".
    cooldown : int
        Losses after a cut in which none counts as bad; at least 0. The controller's `cooldown` is not used.
    every : int
        Steps whose mean loss is looked at as one, at least 1. Torch's rule is called once an epoch: set the
        steps of an epoch, or some hundreds, since the losses of single minibatches scatter.

    Raises
    ------
    TypeError, ValueError
        For settings outside of their range.

    Notes
    -----
    Needs the loss alone. It cuts on noise where `every` is short, the later the less the loss falls; "rel"
    depends on the loss's level, and means the opposite for negative losses (as torch's does); it never raises
    the rate. Torch leaves out cuts smaller than its `eps`; here `min_lr` ends them.

    Examples
    --------
    >>> from nalr import NoiseAdaptiveLR
    >>> controller = NoiseAdaptiveLR(0.1, policy=Plateau(factor=0.5, patience=1))
    >>> [controller.get_adapted_lr([[1.0], [2.0]], loss) for loss in (3.0, 2.0, 2.0, 2.1, 1.9)]
    [0.1, 0.1, 0.1, 0.05, 0.05]
    """

    def __init__(
        self,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        every: int = 1,
    ) -> None:
        self.factor = _checks.real("factor", factor, "in (0, 1)", 0.0, 1.0, closed="neither")
        self.patience = _checks.count("patience", patience, 0)
        self.threshold = _checks.real(
            "threshold", threshold, "at least 0 and finite", 0.0, math.inf, closed="left"
        )
        if threshold_mode not in MODES:
            raise ValueError(f"`threshold_mode` must be one of {', '.join(MODES)}, got {threshold_mode!r}.")
        self.threshold_mode = threshold_mode
        self.cooldown = _checks.count("cooldown", cooldown, 0)
        self.every = _checks.count("every", every, 1)
        self._min_lr = 0.0
        self._state = _State()

    def __repr__(self) -> str:
        return (
            f"Plateau(factor={self.factor!r}, patience={self.patience!r}, threshold={self.threshold!r}, "
            f"threshold_mode={self.threshold_mode!r}, cooldown={self.cooldown!r}, every={self.every!r})"
        )

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Start at the base rate."""
        self._min_lr = min_lr
        self._state = _State(base_lr)

    def decide(self, evidence: Evidence) -> Decision:
        """Take in the loss; return the rate, lower where a plateau has just ended its time."""
        s = self._state
        s.total += evidence.loss
        s.count += 1
        if s.count < self.every:
            return Decision(s.rate, Reason.HOLD, {"best": s.best, "bad": float(s.bad)})
        loss = s.total / s.count
        s.total, s.count = 0.0, 0
        numbers = {"loss": loss, "best": s.best, "bad": float(self._count_bad(loss))}
        reason = Reason.HOLD
        if s.bad > self.patience:
            s.rate = max(s.rate * self.factor, self._min_lr)
            s.pause, s.bad = self.cooldown, 0
            reason = Reason.STALL
        return Decision(s.rate, reason, numbers)

    def _count_bad(self, loss: float) -> int:
        """Return how many losses in a row are now without progress."""
        s = self._state
        if loss < self._wanted():
            s.best, s.bad = loss, 0
        else:
            s.bad += 1
        if s.pause > 0:
            s.pause -= 1
            s.bad = 0
        return s.bad

    def _wanted(self) -> float:
        """Return what a loss must be below to count as progress."""
        best = self._state.best
        return best * (1.0 - self.threshold) if self.threshold_mode == "rel" else best - self.threshold

    def restart(self, lr: float) -> None:
        """Go on at `lr`; what was best is forgotten, since it may be that of a run that failed."""
        self._state = _State(lr)

    def state_dict(self) -> dict[str, Any]:
        """Return the rate, the best loss and the counters."""
        return {**asdict(self._state), "min_lr": self._min_lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        fields = dict(state)
        self._min_lr = float(fields.pop("min_lr"))
        self._state = _State(**fields)
