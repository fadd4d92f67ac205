"""A run in a few lines of text."""

from __future__ import annotations

import math

from nalr.noise.reading import NoiseReading
from nalr.reporting.history import History
from nalr.reporting.loss import loss_course
from nalr.reporting.rate import rate_course
from nalr.reporting.run import read_run
from nalr.reporting.words import loss_name, plural


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
    run = read_run(history)
    columns = run.columns
    loss, rate = loss_course(columns), rate_course(columns)
    lines = [f"{steps} steps"]
    kind = f"no loss was given; {loss_name(True)}" if run.predicted else "smoothed loss"
    if math.isfinite(loss.first):
        lines[0] += f": {kind} {loss.first:.4g} -> {loss.last:.4g}"
    lines.append(
        f"learning rate: {rate.start:.3g} -> {rate.end:.3g}, highest {rate.peak:.3g} at step "
        f"{rate.peak_step:.0f}"
    )
    lines.append("reasons: " + ", ".join(f"{name} {count}" for name, count in history.reason_counts.items()))
    if math.isfinite(reading.noise_scale):
        low, high = reading.gradient_noise_scale_interval
        ends = f" [{low:.3g}, {high:.3g}]" if (low, high) != (0.0, math.inf) else ""
        lines.append(
            f"gradient noise scale: {reading.gradient_noise_scale:.3g}{ends} {plural(history.unit)}, from "
            f"{reading.source}; {reading.status}"
        )
    if nonfinite:
        lines.append(f"{nonfinite} values were not finite; their steps were skipped")
    return "\n".join(lines)
