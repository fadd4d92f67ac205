"""The record that a report is: plain numbers, names and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nalr.reporting.summary import LossCourse, RateCourse


@dataclass(frozen=True, slots=True)
class Slope:
    """The line through the last quarter of the losses.

    Attributes
    ----------
    value, standard_error : float
        Change of the loss per step, and how far to believe it, with the correlation between neighbouring
        losses counted.
    noise : float
        Standard deviation of single losses about the line.
    steps : float
        Steps that the line spans.
    """

    value: float = math.nan
    standard_error: float = math.nan
    noise: float = math.nan
    steps: float = math.nan


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run in which the learning rate did one thing.

    Attributes
    ----------
    kind : str
        What it did: "ramped", "grew", "kicked", "rose"; "held", "varied"; "shrank", "backed off", "was cut",
        "stepped down", "went back", "cooled", "annealed", "fell".
    first_step, last_step : float
        Where the phase begins and ends.
    lr_from, lr_to : float
        The rate there.
    reasons : dict of str to int
        How often each reason stands in the recorded steps of it, most frequent first.
    """

    kind: str
    first_step: float
    last_step: float
    lr_from: float
    lr_to: float
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class NoisePart:
    """Medians over a part of the run; nan where nothing was recorded.

    Attributes
    ----------
    noise_scale, noise_scale_low, noise_scale_high : float
        Root-mean-square standard deviation of one sample's gradient, with its interval.
    gradient_noise_scale : float
        B_simple in samples; inf where half of the steps or more show no signal above the noise.
    signal_fraction : float
        Share of a step's gradient (in squared norm) that is signal.
    batch_size : float
        Samples a step.
    no_signal : float
        Share of the steps whose averaged signal did not come out above zero.
    """

    noise_scale: float = math.nan
    noise_scale_low: float = math.nan
    noise_scale_high: float = math.nan
    gradient_noise_scale: float = math.nan
    signal_fraction: float = math.nan
    batch_size: float = math.nan
    no_signal: float = math.nan


@dataclass(frozen=True, slots=True)
class BatchAdvice:
    """What the batch size costs, by McCandlish et al. (2018).

    Attributes
    ----------
    batch_size : float
        Samples a step, as the run had it.
    balanced : float
        The batch size at which steps and samples are both twice what they could be: B_simple.
    at_least : bool
        Whether `balanced` is a lower bound: most of the run shows no signal above the noise.
    steps_factor : float
        Steps needed, relative to steps without noise.
    samples_factor : float
        Samples needed, relative to the fewest possible.
    """

    batch_size: float
    balanced: float
    at_least: bool
    steps_factor: float
    samples_factor: float


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to know or to do: its name, the numbers that show it, and what to try."""

    name: str
    evidence: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class Report:
    """What `nalr.report` returns; `str(report)` is the page to read.

    Attributes
    ----------
    steps : int
        Steps made.
    recorded : int
        Steps in the record; fewer where a long history was thinned.
    smoothed : bool
        Whether `loss` is the smoothed loss; where none was recorded it is that of single batches.
    loss : LossCourse
        First, last, best, and the step of the best.
    slope : Slope
        Where the loss was going at the end.
    base_lr : float
        The rate that the run was given; nan where the source does not tell: a record alone does not.
    rate : RateCourse
        Start, end, peak, and the step of the peak.
    phases : tuple of Phase
        What the rate did, in order.
    reasons : dict of str to int
        How often each reason decided, most frequent first.
    noise_early, noise_late, noise : NoisePart
        Of the first third, the last third, and the whole.
    batch : BatchAdvice or None
        What the batch size costs; None where the gradient noise scale is not known.
    remarks : tuple of Remark
        What stands out, only where the numbers carry it.
    """

    steps: int
    recorded: int
    smoothed: bool
    loss: LossCourse
    slope: Slope
    base_lr: float
    rate: RateCourse
    phases: tuple[Phase, ...]
    reasons: Mapping[str, int]
    noise_early: NoisePart = field(default_factory=NoisePart)
    noise_late: NoisePart = field(default_factory=NoisePart)
    noise: NoisePart = field(default_factory=NoisePart)
    batch: BatchAdvice | None = None
    remarks: tuple[Remark, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them: what is not finite is None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        from nalr.reporting.text import page

        return page(self)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
