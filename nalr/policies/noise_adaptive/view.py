"""What the rules see, what they know of the run, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from nalr.policies.base import Reason
from nalr.policies.noise_adaptive.agreement import Agreement
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.loss_level import LossLevel
from nalr.policies.noise_adaptive.overlap import StepOverlap
from nalr.policies.noise_adaptive.progress import Progress


class View(NamedTuple):
    """All measurements at one step; what is not known is None. Rules read it and change nothing in it.

    Attributes
    ----------
    step : int
        The step, from 0.
    loss : float
        The loss of this step's samples.
    squared_norm : float
        |ḡ|².
    parameters_squared_norm : float
        |x|² before the first step; nan where it is not known.
    noise : float or None
        tr Σ/B, averaged over steps.
    floor : float or None
        The noise floor η tr Σ/4B that the present rate holds the loss up to.
    plain : bool
        Whether the steps are those of plain SGD, as far as is known.
    pathless : bool
        Whether the sums of the path are missing, so that nothing shows what the steps did.
    curvature, overlap, level, gradient, displacement, progress, agreement
        The measured quantities, each described in its own file.
    """

    step: int
    loss: float
    squared_norm: float
    parameters_squared_norm: float
    noise: float | None
    floor: float | None
    plain: bool
    pathless: bool
    curvature: StepCurvature
    overlap: StepOverlap
    level: LossLevel
    gradient: GradientLevel
    displacement: DisplacementSignal
    progress: Progress
    agreement: Agreement


class Plan(NamedTuple):
    """The settings of the run: bounds, horizon, and steps without a change after a cut."""

    base_lr: float
    min_lr: float
    max_lr: float
    total_steps: int | None
    cooldown: int
    pace: float  # how many times shorter than the reference the run is; at least 1


@dataclass(slots=True)
class Course:
    """Where the run stands. Rules read it; the policy alone changes it, by their moves."""

    rate: float  # peak rate, before the anneal
    seen: int = 0  # usable steps decided
    searching: bool = True  # the first search upwards has not ended
    pause: int = 0  # steps left without a change
    cuts: float = 0.0  # harm and explosions of late: each makes growth more careful
    blown: int | None = None  # value of `seen` at the last explosion
    levels: float = 0.0  # times of late that the loss went to another level, which no step explains
    in_kick: bool = False
    cooling: bool = False


class Level(Enum):
    """What becomes of the levels that guards compare with."""

    KEPT = "kept"
    MOVED = "moved"  # rises are measured from where the run is; what was gained still counts
    GRADIENTS = "gradients"  # the same, and gradients have another size
    NEW = "new"  # another loss, with gradients of its own: what was gained counts from here on


class Stretch(NamedTuple):
    """A new stretch of the run: what was measured before is of parameters that were left behind.

    Attributes
    ----------
    pause : int
        Steps without a change of the rate.
    rise : float or None
        Rises of the loss are measured from the present level less this; None: from where they were.
    harm : bool
        Whether it counts among the cuts.
    explosion : bool
        Whether it began with an explosion.
    level : Level
        What becomes of the levels of loss and gradient.
    """

    pause: int
    rise: float | None = 0.0
    harm: bool = True
    explosion: bool = False
    level: Level = Level.KEPT


class Move(NamedTuple):
    """What a rule answers.

    Attributes
    ----------
    rate : float
        The peak rate from here on.
    reason : Reason
        Why.
    ends_search : bool
        Whether the search upwards is over.
    begins_search : bool
        Whether a new one begins.
    stretch : Stretch, optional
        Begins a new stretch of the run.
    cooling : bool, optional
        Whether the rate comes down from a kick from here on; None leaves that as it is.
    """

    rate: float
    reason: Reason
    ends_search: bool = False
    begins_search: bool = False
    stretch: Stretch | None = None
    cooling: bool | None = None
