"""Numbers as the page shows them."""

from __future__ import annotations

import math

MEANINGS = {
    "start": "the first rate: the base rate, or less where a safeguard forbade it",
    "ramp": "upwards from the start: a search, or a planned warm-up",
    "grow": "the run so far would have gained from a larger rate",
    "shrink": "the run so far would have gained from a smaller rate",
    "hold": "no evidence either way, or a pause after a cut",
    "edge": "steps reached past the lowest point along them",
    "cut": "the loss rose, and the steps did it",
    "blow-up": "the gradient exploded along the step",
    "kick": "stuck where noise does not explain it: a trial of larger rates",
    "kick kept": "the trial found lower ground",
    "kick rolled back": "the trial found none",
    "cool": "a slow descent after a kick",
    "anneal": "the planned descent to the last step",
    "clip": "an outlying gradient: a shorter step for it alone",
    "skip": "values that were not finite: the step took no part",
    "bound": "held at the smallest or largest rate allowed",
    "stall": "the loss, or a test of it, said that this rate brings no more",
    "formula": "what a published rule's formula gave",
    "constant": "a policy that does not adapt",
}
"""What each reason means, for somebody who does not know the words of `nalr.policies.Reason`."""


def number(value: float) -> str:
    """Return a number in three digits, as an exponent only where zeros would be many."""
    shown = f"{value:.3g}"
    return f"{float(shown):.0f}" if 1e3 <= abs(value) < 1e7 else shown


def step(value: float) -> str:
    """Return a step as a whole number."""
    return f"{value:.0f}" if math.isfinite(value) else "?"


def at_step(value: float) -> str:
    """Return " at step …", or nothing where the step is not known."""
    return f" at step {step(value)}" if math.isfinite(value) else ""


def percent(share: float) -> str:
    """Return a share in whole percents; small ones keep their first digit."""
    shown = 100.0 * share
    return f"{shown:.0f} %" if shown >= 1.0 or shown == 0.0 else f"{shown:.1g} %"


def factor(value: float) -> str:
    """Return what something was multiplied by."""
    return f"{number(value)}x"


def unit_of(batch_size: float) -> str:
    """Return what a batch size counts: of a single row nobody knows how many samples it is the mean of."""
    return "row" if batch_size == 1.0 else "sample"


def times(count: int) -> str:
    """Return how often."""
    return "once" if count == 1 else f"{count} times"
