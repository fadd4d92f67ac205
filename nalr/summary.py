"""A run in a few lines of text, for a log or a tired reader."""

from __future__ import annotations

import math

from nalr.history import History
from nalr.noise_reading import NoiseReading


def summarize(history: History, reading: NoiseReading, steps: int, nonfinite: int) -> str:
    """Return what a run did to the loss and the rate, when, and why.

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
    columns = history.to_dict()
    rates, losses = columns["lr"], [v for v in columns["smoothed_loss"] if math.isfinite(v)]
    top = max(range(len(rates)), key=rates.__getitem__)
    lines = [f"{steps} steps"]
    if losses:
        lines[0] += f": smoothed loss {losses[0]:.4g} -> {losses[-1]:.4g}"
    lines.append(
        f"learning rate: {rates[0]:.3g} -> {rates[-1]:.3g}, highest {rates[top]:.3g} at step "
        f"{columns['step'][top]}"
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
