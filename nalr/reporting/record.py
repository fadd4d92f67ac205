"""The record that a report is, and the page that it prints."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nalr.reporting.loss import LossCourse, Slope, loss_section
from nalr.reporting.noise import BatchAdvice, NoisePart, batch_section, noise_section
from nalr.reporting.rate import Phase, RateCourse, rate_section, reasons_section
from nalr.reporting.words import WIDTH, section


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
        The rate that the run was given; nan where the source does not have it, as a record alone.
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
    predicted : bool
        Whether no loss was given: `loss` and `slope` are then of the change of it that gradients predict.
    unit : str
        What batch sizes and noise scales count: "sample"; "microbatch" or "batch" where nobody told how many
        samples one is the mean of; "row" where there was one a step.
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
    predicted: bool = False
    unit: str = "sample"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them: what is not finite is None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        """Return the page to read; what is not known is left out."""
        if not self.recorded:
            return "no steps yet"
        early, late = self.noise_early, self.noise_late
        lines = [
            self._title(),
            *loss_section(self.loss, self.slope, self.smoothed, self.predicted),
            *rate_section(self.base_lr, self.rate, self.phases),
            *reasons_section(self.reasons),
            *noise_section(early, late, self.unit),
            *batch_section(self.batch, early, late, self.unit),
            *section("Remarks", self._remarks() or ["none: nothing stands out"]),
        ]
        return "\n".join(lines)

    def _title(self) -> str:
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        thinned = self.recorded < self.steps
        return f"{steps}, of which {self.recorded} are in the record" if thinned else steps

    def _remarks(self) -> list[str]:
        lines = []
        for index, remark in enumerate(self.remarks, start=1):
            evidence, suggestion = f"{index}. {remark.name}: {remark.evidence}", f"-> {remark.suggestion}"
            lines += textwrap.wrap(evidence, WIDTH, subsequent_indent="   ")
            lines += textwrap.wrap(suggestion, WIDTH, initial_indent="   ", subsequent_indent="      ")
        return lines


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
