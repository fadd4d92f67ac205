"""What a policy sees, what it answers, and the contract between it and the controller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from nalr.moments.record import Moments


class Reason(str, Enum):
    """Why the rate is what it is; the value is the word that histories and plots show."""

    START = "start"  # the first rate: the base rate, or less where a safeguard forbids that
    RAMP = "ramp"  # upwards from the start: a search while curvature leaves room, or a planned warm-up
    GROW = "grow"  # the run so far would have gained from a larger rate
    SHRINK = "shrink"  # the run so far would have gained from a smaller rate
    HOLD = "hold"  # no evidence either way, or a cooldown
    EDGE = "edge"  # steps reach past the line minimum: back off
    CUT = "cut"  # the loss rose, and the steps did it
    BLOW_UP = "blow-up"  # the gradient exploded along the step: cut at once
    KICK = "kick"  # stuck where noise does not explain it: a trial of larger rates
    KICK_KEPT = "kick kept"  # the trial found lower ground
    KICK_ROLLED_BACK = "kick rolled back"  # the trial found none
    COOL = "cool"  # after a kick: anneal slowly through the rates at which bumps begin to hold
    ANNEAL = "anneal"  # the planned descent to `total_steps`
    CLIP = "clip"  # this step's gradient is an outlier: a shorter step for it alone
    SKIP = "skip"  # values that are not finite: this step takes no part
    BOUND = "bound"  # held at `min_lr` or `max_lr`
    STALL = "stall"  # the loss, or a test of stationarity, says that this rate brings no more: a cut
    FORMULA = "formula"  # what a published rule's formula makes of the sums of the step
    CONSTANT = "constant"  # a policy that does not adapt

    def __str__(self) -> str:
        return self.value


class Evidence(NamedTuple):
    """All that a policy may look at in one step: numbers, never arrays.

    Attributes
    ----------
    step : int
        How many usable steps came before.
    loss : float
        The loss as it came, finite.
    lr : float
        The rate that the last step was made with; 0 if it was not made.
    moments : Moments
        The sums of this step's gradients and of the path.
    noise_variance : float
        tr Σ/B, averaged over steps, of this step's batch size; nan while unknown.
    """

    step: int
    loss: float
    lr: float
    moments: Moments
    noise_variance: float


class Decision(NamedTuple):
    """A learning rate, the reason for it, and the numbers that the reason rests on."""

    lr: float
    reason: Reason
    evidence: Mapping[str, float]


class Policy(ABC):
    """Scalars in, decision out. Concrete policies are final; to vary one, wrap it.

    The controller calls `begin` once, then `decide` once per usable step; it clamps the answer to its
    bounds and records it.
    """

    @abstractmethod
    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Forget everything and take the run's settings."""

    @abstractmethod
    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate for the step that `evidence` was measured at."""

    def skip(self, lr: float, repeated: int) -> float:
        """Return the rate after a step that was not finite, the `repeated`-th in a row (from 1).

        Never more than `lr`: one may be chance and changes nothing, each further one halves the rate.
        """
        return lr if repeated == 1 else 0.5 * lr

    def limit_first_step(self, promise: float, loss: float) -> float:
        """Return the share to keep of the first step, which promised to lower this loss by `promise`."""
        return 1.0

    def restart(self, lr: float) -> None:  # noqa: B027 - most rules have nothing to do
        """Go on at `lr` from parameters that were put back to an earlier state of the run."""

    @property
    def forgetting(self) -> float:
        """Share of the displacement from the start that the next step forgets, in [0, 1]."""
        return 0.0

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers, strings, lists and dicts."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
