"""A run in a few lines of text, for a log or a tired reader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.noise.reading import NoiseReading
from nalr.reporting.history import History


@dataclass(frozen=True, slots=True)
class LossCourse:
    """Where the smoothed loss began, ended and was lowest, and at which step; nan where nothing tells."""

    first: float
    last: float
    best: float
    best_step: float


@dataclass(frozen=True, slots=True)
class RateCourse:
    """Where the learning rate began, ended and was highest, and at which step; nan where nothing tells."""

    start: float
    end: float
    peak: float
    peak_step: float


def loss_course(columns: Mapping[str, NDArray[Any]]) -> LossCourse:
    """Return the course of `smoothed_loss`, or of `loss` where there is no finite smoothed one."""
    smoothed = columns["smoothed_loss"]
    losses = smoothed if np.isfinite(smoothed).any() else columns["loss"]
    return LossCourse(*_ends(losses), *_extreme(losses, columns["step"], np.argmin))


def rate_course(columns: Mapping[str, NDArray[Any]]) -> RateCourse:
    """Return the course of `lr`."""
    return RateCourse(*_ends(columns["lr"]), *_extreme(columns["lr"], columns["step"], np.argmax))


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite[0]), float(finite[-1])) if finite.size else (math.nan, math.nan)


def _extreme(values: NDArray[Any], steps: NDArray[Any], best: Any) -> tuple[float, float]:
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return math.nan, math.nan
    index = known[best(values[known])]
    return float(values[index]), float(steps[index])


def summarize(history: History, reading: NoiseReading, steps: int, nonfinite: int) -> str:
    """Return what a run did to the loss and the rate, when, and why; `nalr.report` says more.

    Parameters
    ----------
    history : History
        The run's record.
    reading : NoiseReading
        What is known of the gradient noise now.
    steps : int
        Calls so far.
    nonfinite : int
        Values that were not finite.
    """
    columns = history.to_numpy()
    loss, rate = loss_course(columns), rate_course(columns)
    lines = [f"{steps} steps"]
    if math.isfinite(loss.first):
        lines[0] += f": smoothed loss {loss.first:.4g} -> {loss.last:.4g}"
    lines.append(
        f"learning rate: {rate.start:.3g} -> {rate.end:.3g}, highest {rate.peak:.3g} at step "
        f"{rate.peak_step:.0f}"
    )
    lines.append("reasons: " + ", ".join(f"{name} {count}" for name, count in history.reason_counts.items()))
    if math.isfinite(reading.noise_scale):
        low, high = reading.gradient_noise_scale_interval
        ends = f" [{low:.3g}, {high:.3g}]" if (low, high) != (0.0, math.inf) else ""
        lines.append(
            f"gradient noise scale: {reading.gradient_noise_scale:.3g}{ends} samples, from {reading.source}; "
            f"{reading.status}"
        )
    if nonfinite:
        lines.append(f"{nonfinite} values were not finite; their steps were skipped")
    return "\n".join(lines)
