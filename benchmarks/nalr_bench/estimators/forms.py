"""What may be made of raw pairs: our estimates, and the tempting ones that cost more than they save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OURS = "ours"
SIGNAL, VARIANCE = "|G|²", "tr Σ"
NAIVE = "|ḡ|² as it is"

Values = NDArray[np.float64]


class Step(NamedTuple):
    """What is known of every step, beside its raw pair."""

    num_rows: int
    samples: float
    population: int | None


@dataclass(frozen=True)
class Form:
    """A way to estimate a quantity.

    Parameters
    ----------
    quantity : str
        What is estimated.
    name : str
        How, in a few words.
    make : callable
        From the raw |G|² and tr Σ of each draw, and what is known of the step, to the estimate of each draw.
    """

    quantity: str
    name: str
    make: Callable[[Values, Values, Step], Values]


def forms(step: Step) -> list[Form]:
    """Return the forms that make sense for a step, ours first for each quantity."""
    found = [Form(SIGNAL, OURS, _signal)]
    if step.population is not None:
        found.append(Form(SIGNAL, "population unknown", lambda signal, variance, step: signal))
    return [
        *found,
        Form(SIGNAL, "each step clamped first", lambda *raw: np.maximum(_signal(*raw), 0.0)),
        Form(SIGNAL, NAIVE, _naive),
        Form(VARIANCE, OURS, lambda signal, variance, step: variance),
        Form(VARIANCE, "divided by k", _divided_by_count),
    ]


def _signal(signal: Values, variance: Values, step: Step) -> Values:
    """Return what a reading shows but for the clamp: with the share of tr Σ that the population takes."""
    return signal if step.population is None else signal + variance / step.population


def _naive(signal: Values, variance: Values, step: Step) -> Values:
    """Return |ḡ|², which the raw |G|² is less tr Σ/B."""
    return signal + variance / step.samples


def _divided_by_count(signal: Values, variance: Values, step: Step) -> Values:
    return variance * ((step.num_rows - 1) / step.num_rows)
