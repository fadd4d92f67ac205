"""Remarks on what the learning rate did, and what the next run could start from."""

from __future__ import annotations

import math

from nalr.reporting.record import Remark, Report
from nalr.reporting.run import Run
from nalr.reporting.words import factor, number, percent, step

OFTEN = 0.05
"""Share of the steps at a bound that is no accident: a descent may touch the smallest rate at its end."""

FEWEST = 10
"""Steps that such a share must consist of: in a short run one step is a large share."""

NEAR_PEAK = 0.8
"""Share of its highest value that a rate which is still rising must have."""

FAR = 10.0
"""Factor from the base rate to the end of the search that is worth a better guess, …"""

LONG_RAMP = 0.05
"""… where the search took this share of the run."""

SAFE = 3.0
"""Part of the rate at which the search ended to start from: it ends where steps are about to be too long."""


def at_a_bound(report: Report, run: Run) -> Remark | None:
    """Tell that `min_lr` or `max_lr` decided the rate, not the measurements."""
    lr = run.columns["lr"]
    if not lr.size:
        return None
    # A policy that keeps to the bounds by itself gives its own reasons there.
    sides = {"max_lr": run.max_lr, "min_lr": run.min_lr}
    held = {"max_lr": int((lr >= run.max_lr).sum()), "min_lr": int((lr <= run.min_lr).sum())}
    side = max(held, key=held.__getitem__)
    count, share = held[side], held[side] / lr.size
    at = f"`{side}` = {number(sides[side])}"
    if not count:
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
    """Tell that the run ended before its search for a rate did."""
    if not report.phases:
        return None
    last, rate = report.phases[-1], report.rate
    rising = last.lr_to > last.lr_from and last.kind != "held"
    if not rising or last.lr_to < NEAR_PEAK * rate.peak or report.recorded < FEWEST:
        return None
    return Remark(
        "rate still rising",
        f"The rate rose {factor(last.lr_to / last.lr_from)} from step {step(last.first_step)} on, to "
        f"{number(last.lr_to)} at the last step.",
        f"The best rate was not reached: start the next run from base_lr={number(last.lr_to)}, or let it "
        "run longer.",
    )


def low_base(report: Report, run: Run) -> Remark | None:
    """Tell that the search upwards took a good part of the run; a record alone knows no base rate."""
    if math.isnan(run.base_lr):
        return None
    searched = run.columns["lr"][run.columns["reason"] == "ramp"]
    share = report.reasons.get("ramp", 0) / max(report.steps, 1)
    if share < LONG_RAMP or searched.size < FEWEST or not searched.max() >= FAR * run.base_lr:
        return None
    return Remark(
        "low base rate",
        f"The search for a rate took {percent(share)} of the run and ended "
        f"{factor(searched.max() / run.base_lr)} the base rate.",
        f"Start the next run from base_lr={number(searched.max() / SAFE)}, and those steps are free for "
        "training.",
    )


def kicks(report: Report, run: Run) -> Remark | None:
    """Tell what became of the trials of larger rates."""
    kept, back = report.reasons.get("kick kept", 0), report.reasons.get("kick taken back", 0)
    if not kept + back:
        return None
    cost = report.reasons.get("kick", 0)
    if kept:
        at = run.first_step_of("kick kept")
        return Remark(
            "kick kept",
            f"Stuck, the run tried larger rates for {cost} steps and found lower ground"
            + (f" at step {step(at)}." if math.isfinite(at) else "."),
            "The surface has bumps that hold small rates: a larger base rate or batch noise helps there too.",
        )
    return Remark(
        "kick taken back",
        f"The run looked stuck, tried larger rates for {cost} steps and found nothing lower; it went back to "
        "its rate.",
        "Nothing is lost but those steps. `NoiseAdaptiveSettings(kick_wait=math.inf)` turns such trials off.",
    )
