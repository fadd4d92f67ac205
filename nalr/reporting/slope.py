"""Where the loss was going when the run ended."""

from __future__ import annotations

import numpy as np

from nalr.loss.trend import Trend
from nalr.reporting.record import Slope
from nalr.reporting.run import Run

TAIL = 0.25
"""Share of the recorded losses that the last line goes through: more would tell of the past."""

LEVEL = 100.0
"""Memory of that line in multiples of its length: all of its losses count alike, to within 1 %."""


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
