"""Remarks on where the loss went."""

from __future__ import annotations

import numpy as np

from nalr.loss.reading import FEWEST_TO_TRUST
from nalr.reporting.record import Remark, Report
from nalr.reporting.run import Run
from nalr.reporting.words import loss_name, number, percent, step

ERRORS = 3.0
"""Standard errors that a slope, or deviations that a rise, must have: chance does that once in 700 runs."""

WORTH = 0.01
"""Share of all that the loss fell which its last quarter must have brought: less is not worth the steps."""


def loss_rose(report: Report, run: Run) -> Remark | None:
    """Remark that the loss ended above its start, by more than its noise."""
    loss, noise = report.loss, report.slope.noise
    if len(run) < FEWEST_TO_TRUST or not loss.last - loss.first > ERRORS * noise:
        return None
    return Remark(
        "loss rose",
        f"The {loss_name(run.predicted)} ended at {number(loss.last)}, above its first {number(loss.first)} "
        f"by more than {ERRORS:.0f} times its noise of {number(noise)}.",
        f"Go back to the parameters of about step {step(loss.best_step)}, where it was {number(loss.best)}. "
        "Check that loss and gradients are of the same samples.",
    )


def still_falling(report: Report, run: Run) -> Remark | None:
    """Remark that the last quarter still brought something, beyond chance."""
    slope, loss = report.slope, report.loss
    brought = -slope.value * slope.steps
    significant = slope.value < -ERRORS * slope.standard_error
    recorded = int(np.isfinite(run.columns["loss"]).sum()) // 4
    whole = loss.first - loss.last
    if recorded < FEWEST_TO_TRUST or not significant or not brought > WORTH * whole > 0.0:
        return None
    evidence = (
        f"Over the last {step(slope.steps)} steps the {loss_name(run.predicted)} fell by {number(brought)} "
        f"(+- {number(slope.standard_error * slope.steps)}), {percent(min(brought / whole, 1.0))} of all "
        "that it fell."
    )
    if run.knows_horizon and run.total_steps is None:
        return Remark(
            "no horizon",
            f"{evidence} No `total_steps` was given, so no descent of the rate was planned.",
            "Go on; and where you know how long, give `total_steps`: the rate then falls to zero there, and "
            "the noise with it.",
        )
    if report.phases and report.phases[-1].kind in ("annealed", "cooled"):
        suggestion = "A larger `total_steps` would pay; a part of that fall is the falling rate's own doing."
    else:
        suggestion = "A longer run would pay."
    return Remark("still falling", evidence, suggestion)
