"""Remarks on what the learning rate did, and what the next run could start from."""

from __future__ import annotations

import math

import numpy as np

from nalr.reporting.rate import RISES
from nalr.reporting.record import Remark, Report
from nalr.reporting.run import Run
from nalr.reporting.words import at_step, factor, number, percent, step

OFTEN = 0.05
"""Share of the steps at a bound that is no accident: a descent may touch the smallest rate at its end."""

FEWEST = 10
"""Steps that such a share must consist of: in a short run one step is a large share."""

NEAR = 0.05
"""Relative distance from a bound within which a rate stands at it: a planned descent lowers it a little."""

UPWARDS = ("bound", "ramp", "grow", "kick")
DOWNWARDS = ("bound", "shrink", "edge", "cut", "blow-up", "stall")
"""Reasons that ask for more, or for less, than the bound at which they stand."""

NEAR_PEAK = 0.8
"""Share of its highest value that a rate which is still rising must have."""

FAR = 10.0
"""Factor from the base rate to the end of the search that is worth a better guess, …"""

LONG_RAMP = 0.05
"""… where the search took this share of the run."""

LATELY = 0.75
"""Where the last quarter of the run begins, …"""

RISE = 1.25
"""… over which a rate that is still rising must have risen by this factor."""

SAFE = 3.0
"""Part of the rate at which the search ended to start from: it ends where steps are about to be too long."""


def at_a_bound(report: Report, run: Run) -> Remark | None:
    """Remark that `min_lr` or `max_lr` decided the rate, not the measurements."""
    lr, reason = run.columns["lr"], run.columns["reason"]
    # A policy that keeps to the bounds by itself gives its own reasons there.
    up = (lr >= (1.0 - NEAR) * run.max_lr) & np.isin(reason, UPWARDS)
    down = (lr <= (1.0 + NEAR) * run.min_lr) & np.isin(reason, DOWNWARDS)
    if up.any() or down.any():
        high = up.sum() >= down.sum()
        count = int(max(up.sum(), down.sum()))
        share = count / lr.size
        at = f"`max_lr` = {number(run.max_lr)}" if high else f"`min_lr` = {number(run.min_lr)}"
    else:
        count = report.reasons.get("bound", 0)
        share, at = count / max(report.steps, 1), "`min_lr` or `max_lr`"
    if count < FEWEST or share < OFTEN:
        return None
    return Remark(
        "at a bound",
        f"The rate stood at {at} in {percent(share)} of the steps.",
        "Widen that bound, unless it is there for a reason: the measurements asked for a rate beyond it.",
    )


def still_rising(report: Report, run: Run) -> Remark | None:
    """Remark that the run ended before its search for a rate did."""
    if not report.phases:
        return None
    last = report.phases[-1]
    long = last.last_step - last.first_step >= FEWEST
    if last.kind not in (*RISES, "rose") or not long or last.lr_to < NEAR_PEAK * report.rate.peak:
        return None
    lately = run.columns["lr"][int(LATELY * (len(run) - 1))]
    if not last.lr_to > RISE * lately:
        return None
    return Remark(
        "rate still rising",
        f"The rate rose {factor(last.lr_to / last.lr_from)} from step {step(last.first_step)} on, to "
        f"{number(last.lr_to)} at the last step.",
        f"The best rate was not reached: start the next run from base_lr={number(last.lr_to)}, or let it "
        "run longer.",
    )


def low_base(report: Report, run: Run) -> Remark | None:
    """Remark that the search upwards took a good part of the run; a record alone knows no base rate."""
    lr, step_of = run.columns["lr"], run.columns["step"]
    searching = np.flatnonzero(np.isin(run.columns["reason"], ("ramp", "grow")) & np.isfinite(lr))
    if math.isnan(run.base_lr) or searching.size < FEWEST or still_rising(report, run):
        return None
    top = float(lr[searching].max())
    arrived = searching[np.argmax(lr[searching] >= NEAR_PEAK * top)]
    share = (step_of[arrived] - step_of[0]) / report.steps
    if not (share >= LONG_RAMP and top >= FAR * run.base_lr):
        return None
    return Remark(
        "low base rate",
        f"The search upwards took {percent(share)} of the run and came to {factor(top / run.base_lr)} the "
        "base rate.",
        f"Start the next run from base_lr={number(top / SAFE)}: most of those steps are then free for "
        "training.",
    )


def kicks(report: Report, run: Run) -> Remark | None:
    """Remark on what became of the trials of larger rates."""
    kept, back = report.reasons.get("kick kept", 0), report.reasons.get("kick rolled back", 0)
    if not kept + back:
        return None
    cost = report.reasons.get("kick", 0)
    if kept:
        return Remark(
            "kick kept",
            f"Stuck, the run tried larger rates for {cost} steps and found lower ground"
            f"{at_step(run.first_step_of('kick kept'))}.",
            "The surface has bumps that hold small rates: a larger base rate or batch noise helps there too.",
        )
    return Remark(
        "kick rolled back",
        f"The run looked stuck, tried larger rates for {cost} steps and found nothing lower; it went back to "
        "its rate.",
        "Nothing is lost but those steps. `NoiseAdaptiveSettings(kick_wait=math.inf)` turns such trials off.",
    )
