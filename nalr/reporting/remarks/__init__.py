"""What stands out in a run: each remark with the numbers that show it and something to try.

A remark is a function of the report and its run; it answers None where the numbers do not carry it. The
thresholds stand beside them, each with its reason: they ask for enough that a remark is hardly ever chance.
"""

from __future__ import annotations

from collections.abc import Callable

from nalr.reporting.record import Remark, Report
from nalr.reporting.remarks.harm import another_level, clipped_often, many_harms, skipped_steps
from nalr.reporting.remarks.loss import loss_rose, still_falling
from nalr.reporting.remarks.noise import mostly_noise, mostly_signal
from nalr.reporting.remarks.rate import at_a_bound, kicks, low_base, still_rising
from nalr.reporting.run import Run

RULES: tuple[Callable[[Report, Run], Remark | None], ...] = (
    skipped_steps,
    loss_rose,
    many_harms,
    another_level,
    at_a_bound,
    still_rising,
    still_falling,
    clipped_often,
    mostly_noise,
    mostly_signal,
    low_base,
    kicks,
)
"""In the order of the page: the most urgent first."""


def remarks_on(report: Report, run: Run) -> tuple[Remark, ...]:
    """Return the remarks that the numbers carry."""
    made = (rule(report, run) for rule in RULES)
    return tuple(remark for remark in made if remark is not None)
