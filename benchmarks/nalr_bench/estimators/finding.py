"""Findings of a cell: a bias or a coverage, and whether it reaches its figure."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr_bench.estimators.bias import BiasCell
from nalr_bench.estimators.cell import Cell, CoverageCell
from nalr_bench.estimators.forms import OURS, VARIANCE, Step, forms

LARGEST_BIAS = 3.0
"""In standard errors."""

LOWEST, HIGHEST = 0.93, 0.97
"""Accepted coverage of 95 % intervals."""

CHANCE = 2.0
"""Standard errors of a coverage that are allowed for chance."""


@dataclass(frozen=True)
class Finding(ABC):
    """A bias or a coverage of a cell: the estimated quantity, the form of the estimator, and the draws."""

    study: str
    title: str
    where: str
    quantity: str
    form: str
    draws: int

    @property
    def ours(self) -> bool:
        """Whether it is ours, with a figure to reach."""
        return self.form == OURS

    @property
    @abstractmethod
    def value(self) -> float:
        """The number that has a figure."""

    @property
    @abstractmethod
    def outside(self) -> bool:
        """Whether it misses its figure by more than chance."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {**vars(self), "value": self.value, "outside": self.outside}


@dataclass(frozen=True)
class Bias(Finding):
    """The mean of an estimate and the truth; `value` is the bias in standard errors."""

    truth: float
    total_variance: float
    mean: float
    standard_error: float

    @property
    def value(self) -> float:
        return (self.mean - self.truth) / self.standard_error

    @property
    def outside(self) -> bool:
        return not abs(self.value) <= LARGEST_BIAS


@dataclass(frozen=True)
class Coverage(Finding):
    """How often an interval covered the truth; `value` is the share."""

    hits: int

    @property
    def value(self) -> float:
        return self.hits / self.draws

    @property
    def outside(self) -> bool:
        low, high = (CHANCE * math.sqrt(end * (1.0 - end) / self.draws) for end in (LOWEST, HIGHEST))
        return not LOWEST - low <= self.value <= HIGHEST + high


def findings(cell: Cell, result: NDArray[Any], draws: int) -> Iterator[Finding]:
    """Yield the findings of a cell from its joined result."""
    if isinstance(cell, BiasCell):
        yield from _biases(cell, result)
    if isinstance(cell, CoverageCell):
        for where, counts in zip(cell.labels, result.tolist(), strict=True):
            for name, hits in zip(cell.quantities, counts, strict=True):
                quantity, _, form = name.partition(", ")
                yield Coverage(cell.study, cell.title, where, quantity, form or OURS, draws, hits)


def _biases(cell: BiasCell, result: NDArray[np.float64]) -> Iterator[Bias]:
    step = Step(cell.num_rows, cell.samples, cell.population)
    for form in forms(step):
        for where, exact, raw in zip(cell.labels, cell.truths(), result, strict=True):
            values = form.make(raw[:, 0], raw[:, 1], step)
            yield Bias(
                cell.study,
                cell.title,
                where,
                form.quantity,
                form.name,
                len(values),
                exact.total_variance if form.quantity == VARIANCE else exact.signal,
                exact.total_variance,
                float(values.mean()),
                float(values.std(ddof=1)) / math.sqrt(len(values)),
            )
