"""Estimates from raw pairs: ours, and biased alternatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OURS = "ours"
SIGNAL, VARIANCE = "|G|²", "tr Σ"
NAIVE = "|ḡ|² uncorrected"

Values = NDArray[np.float64]


class Step(NamedTuple):
    """Constants of every step."""

    num_rows: int
    samples: float
    population: int | None


@dataclass(frozen=True)
class Form:
    """An estimator of a quantity; `make` turns raw |G|² and tr Σ of each draw into its estimate."""

    quantity: str
    name: str
    make: Callable[[Values, Values, Step], Values]


def forms(step: Step) -> list[Form]:
    """Return the estimators for a step, ours first for each quantity."""
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
    """Return the estimate of a reading before the clamp, with the finite-population correction."""
    return signal if step.population is None else signal + variance / step.population


def _naive(signal: Values, variance: Values, step: Step) -> Values:
    """Return |ḡ|², the raw |G|² plus tr Σ/B."""
    return signal + variance / step.samples


def _divided_by_count(signal: Values, variance: Values, step: Step) -> Values:
    return variance * ((step.num_rows - 1) / step.num_rows)
