"""Numbers and sections as the page shows them."""

from __future__ import annotations

import math

WIDTH = 100
"""Most characters in a line of running text."""


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


def unit_of(batch_size: float, unit: str) -> str:
    """Return what a batch size counts: of a single row nobody knows how many samples it is the mean of."""
    return "row" if batch_size == 1.0 and unit == "sample" else unit


def plural(unit: str) -> str:
    """Return the word for several of a unit."""
    return unit + ("es" if unit.endswith("ch") else "s")


def loss_name(predicted: bool) -> str:
    """Return what the loss is called: without any given, it is what gradients predict of it."""
    return "predicted change of the loss" if predicted else "loss"


def times(count: int) -> str:
    """Return how often."""
    return "once" if count == 1 else f"{count} times"


def section(title: str, lines: list[str]) -> list[str]:
    """Return the lines of a section under its title; nothing if there are none."""
    return ["", title, *(f"  {line}" for line in lines)] if lines else []
