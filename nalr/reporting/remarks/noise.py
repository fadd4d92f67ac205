"""Remarks on how much of the gradient was noise."""

from __future__ import annotations

import numpy as np

from nalr.reporting.record import Remark, Report
from nalr.reporting.run import Run
from nalr.reporting.words import factor, percent, plural

NOISY = 0.1
"""Signal fraction below which noise dominates: B_simple is then above nine batches, and doubling the batch
saves nearly half of the steps."""

CLEAR = 0.9
"""Signal fraction above which signal dominates: half of the batch would cost a tenth more steps at most."""

FEWEST_FRACTIONS = 30
"""Recorded signal fractions that a median needs: they are running averages, and neighbours are alike."""


def mostly_noise(report: Report, run: Run) -> Remark | None:
    """Remark that a larger batch, or averaging, would pay."""
    if not (_enough(run) and report.noise.signal_fraction < NOISY):
        return None
    batch = report.batch
    to = ""
    if batch is not None and not batch.at_least:
        to = f" (up to about {factor(batch.balanced / batch.batch_size)} this one)"
    return Remark(
        "mostly noise",
        f"In the median step {percent(report.noise.signal_fraction)} of the gradient was signal (in squared "
        "length).",
        f"A larger batch{to} would save nearly as many steps as it is larger. Where that is no option, "
        "average the parameters (`nalr.IterateAverage`).",
    )


def mostly_signal(report: Report, run: Run) -> Remark | None:
    """Remark that a smaller batch would do."""
    if not (_enough(run) and report.noise.signal_fraction > CLEAR):
        return None
    batch = report.batch
    whole = batch is not None and batch.balanced >= 1.0  # there are no batches of less than a sample
    cost = ""
    if batch is not None and whole:
        cost = f"; the run took {factor(batch.samples_factor)} the fewest {plural(report.unit)}"
    return Remark(
        "mostly signal",
        f"In the median step {percent(report.noise.signal_fraction)} of the gradient was signal (in squared "
        f"length){cost}.",
        "A batch of half the size would make nearly the same progress a step.",
    )


def _enough(run: Run) -> bool:
    return int(np.isfinite(run.columns["signal_fraction"]).sum()) >= FEWEST_FRACTIONS
