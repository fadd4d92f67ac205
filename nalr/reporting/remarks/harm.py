"""Remarks on what went wrong: values that were not finite, cuts, explosions, other levels, outliers."""

from __future__ import annotations

import numpy as np

from nalr.reporting.record import Remark, Report
from nalr.reporting.run import Run
from nalr.reporting.words import at_step, percent, times

MANY_HARMS = 3
"""Cuts and blow-ups together that are many: a search from a wrong base rate takes one or two."""

EARLY = 0.1
"""Share of the run that is its start: harm there is the base rate's doing, later it is the problem's."""

OFTEN = 0.05
"""Share of the steps from which clipping is a habit: Gaussian noise in many dimensions is never clipped."""

FEWEST = 10
"""Steps that such a share must consist of: in a short run one step is a large share."""


def skipped_steps(report: Report, run: Run) -> Remark | None:
    """Remark on values that were not finite: nothing else reports them."""
    count = report.reasons.get("skip", 0)
    if not count:
        return None
    return Remark(
        "skipped steps",
        f"{times(count)} in {report.steps} steps the loss or the gradient was not "
        f"finite{_since(run, 'skip')}.",
        "Look at the data and the precision there (float16 overflows above 65504). A single one is left out "
        "unharmed; each further one in a row halves the rate.",
    )


def many_harms(report: Report, run: Run) -> Remark | None:
    """Remark on repeated cuts and blow-ups, and whether they are the start's."""
    cuts, blown = report.reasons.get("cut", 0), report.reasons.get("blow-up", 0)
    if cuts + blown < MANY_HARMS:
        return None
    steps = run.columns["step"]
    harms = steps[np.isin(run.columns["reason"], ("cut", "blow-up"))]
    early = harms.size > 0 and np.mean(harms <= steps[0] + EARLY * report.steps) > 0.5
    evidence = f"The rate was cut {times(cuts + blown)}: {cuts} for a rise of the loss, {blown} for an "
    evidence += "exploding gradient" + (", most of them at the start." if early else ".")
    if early:
        return Remark("many cuts", evidence, "Start from a smaller base rate: the search has paid for it.")
    return Remark(
        "many cuts",
        evidence,
        "Such problems change under way: try gradient clipping, a larger batch, or look at the data of those "
        "steps. `rollback=True` in `nalr.torch` returns to a copy after an explosion.",
    )


def another_level(report: Report, run: Run) -> Remark | None:
    """Remark on a loss that became another: the rate was not at fault, and nothing else says so."""
    count = report.reasons.get("level", 0)
    if not count:
        return None
    return Remark(
        "another level",
        f"{times(count)} in {report.steps} steps the loss or its gradients went up to another level, which "
        f"no step explains{_since(run, 'level')}.",
        "See whether the loss, its scale or the data changed there. If that was intended, there is "
        "nothing to do.",
    )


def clipped_often(report: Report, run: Run) -> Remark | None:
    """Remark on many outlying gradients."""
    count = report.reasons.get("clip", 0)
    if count < FEWEST or count < OFTEN * report.steps:
        return None
    return Remark(
        "clipped often",
        f"{percent(count / report.steps)} of the steps had a gradient far longer than usual and were "
        "shortened.",
        "The noise has heavy tails: look for outlying samples; a larger batch or a robust loss would help.",
    )


def _since(run: Run, reason: str) -> str:
    """Return where the first step with a reason was, if that is recorded."""
    at = at_step(run.first_step_of(reason))
    return f", first{at}" if at else ""
