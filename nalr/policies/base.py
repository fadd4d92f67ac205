"""What a policy sees, what it answers, and the contract between it and the controller."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from nalr.moments.record import Moments


class Reason(str, Enum):
    """Why the rate is what it is; the value is the word that histories and plots show.

    Attributes
    ----------
    family : str
        What the rate does in steps with this reason, as reports call it. Reasons of one family have one
        colour in plots.
    meaning : str
        The reason in a few words.
    """

    _value_: str
    family: str
    meaning: str

    START = "start", "ramped", "the first rate: the base rate, or less where a safeguard forbids it"
    RAMP = "ramp", "ramped", "upwards from the start: a search, or a planned warm-up"
    GROW = "grow", "grew", "the run so far would have gained from a larger rate"
    SHRINK = "shrink", "shrank", "the run so far would have gained from a smaller rate"
    HOLD = "hold", "held", "no evidence either way, or a pause after a cut"
    EDGE = "edge", "backed off", "steps reach past the lowest point along them"
    CUT = "cut", "was cut", "the loss rose, and the steps did it"
    BLOW_UP = "blow-up", "was cut", "the gradient exploded along the step"
    LEVEL = "level", "held", "the loss or its gradients went to another level, which no step explains"
    KICK = "kick", "kicked", "stuck where noise does not explain it: a trial of larger rates"
    KICK_KEPT = "kick kept", "kicked", "the trial found lower ground"
    KICK_ROLLED_BACK = "kick rolled back", "went back", "the trial found none"
    COOL = "cool", "cooled", "a slow descent after a kick"
    ANNEAL = "anneal", "annealed", "the planned descent to the last step"
    CLIP = "clip", "single step", "an outlying gradient: a shorter step for it alone"
    SKIP = "skip", "single step", "values that are not finite: the step takes no part"
    BOUND = "bound", "bounded", "held at the smallest or largest rate allowed"
    STALL = "stall", "stepped down", "the loss, or a test of it, says that this rate brings no more"
    FORMULA = "formula", "followed a rule", "what a published rule's formula gives"
    CONSTANT = "constant", "followed a rule", "a policy that does not adapt"

    def __new__(cls, value: str, family: str = "", meaning: str = "") -> Reason:
        """Make a reason of its word."""
        reason = str.__new__(cls, value)
        reason._value_, reason.family, reason.meaning = value, family, meaning
        return reason

    def __str__(self) -> str:
        return str(self.value)


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

    def first_share(self, promise: float, loss: float, length: float = math.nan) -> float:
        """Return the share to keep of a first step that promised to lower this loss by `promise`.

        `length` is its length over that of the parameters; nan where it is not known.
        """
        return 1.0

    def limit_first_step(self, promise: float, loss: float, length: float = math.nan) -> float:
        """Return `first_share`, of which the step was kept."""
        return self.first_share(promise, loss, length)

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

    def load_other_plan(self, state: Mapping[str, Any], step: int, total_steps: int | None) -> None:
        """Take a state after `step` steps of a run of `total_steps`, not of those that `begin` named."""
        self.load_state_dict(state)
