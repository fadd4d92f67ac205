"""What the loss did: its course, and where it was going when the run ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.loss.trend import Trend
from nalr.reporting.run import Run, ends, extreme
from nalr.reporting.words import at_step, loss_name, number, section, step

TAIL = 0.25
"""Share of the recorded losses that the last line goes through: more would describe the past."""

LEVEL = 100.0
"""Memory of that line in multiples of its length: all of its losses count alike, to within 1 %."""


@dataclass(frozen=True, slots=True)
class LossCourse:
    """Where the smoothed loss began, ended and was lowest, and at which step; nan where nothing is known."""

    first: float
    last: float
    best: float
    best_step: float


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


def loss_course(columns: Mapping[str, NDArray[Any]]) -> LossCourse:
    """Return the course of `smoothed_loss`, or of `loss` where there is no finite smoothed one."""
    smoothed = columns["smoothed_loss"]
    losses = smoothed if np.isfinite(smoothed).any() else columns["loss"]
    return LossCourse(*ends(losses), *extreme(losses, columns["step"], np.argmin))


def final_slope(run: Run) -> Slope:
    """Return the line through the last quarter of the finite losses; nan for fewer than three."""
    known = np.isfinite(run.columns["loss"]) & np.isfinite(run.columns["step"])
    losses, steps = run.columns["loss"][known], run.columns["step"][known]
    first = int((1.0 - TAIL) * len(losses))
    losses, steps = losses[first:], steps[first:]
    if len(losses) < 3 or not steps[-1] > steps[0]:
        return Slope()
    trend = Trend(1.0 - 1.0 / (LEVEL * len(losses)))
    trend.fold(losses.tolist())
    line = trend.reading()
    span = float(steps[-1] - steps[0])
    apart = span / (len(steps) - 1)  # steps from one loss to the next
    return Slope(line.slope / apart, line.standard_error / apart, line.noise, span)


def loss_section(loss: LossCourse, slope: Slope, smoothed: bool, predicted: bool) -> list[str]:
    """Return the lines of the page on the loss."""
    if not math.isfinite(loss.first):
        return section("Loss", ["no finite loss was recorded"])
    kind = "smoothed loss" if smoothed else "loss of single batches"
    if predicted:
        kind = f"no loss was given; {loss_name(True)}"
    lines = [
        f"{kind} {number(loss.first)} -> {number(loss.last)}, best "
        f"{number(loss.best)}{at_step(loss.best_step)}"
    ]
    if math.isfinite(slope.value) and math.isfinite(slope.standard_error):
        change, error = slope.value * slope.steps, slope.standard_error * slope.steps
        lines.append(
            f"over the last {step(slope.steps)} steps it changed by {number(change)} +- {number(error)}"
        )
    return section("Loss", lines)
