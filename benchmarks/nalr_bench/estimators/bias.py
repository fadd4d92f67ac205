"""Raw values of `NoiseEstimator` for each draw of rows, and their expectations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.noise.estimator import NoiseEstimator
from nalr_bench.estimators import sampling, truth
from nalr_bench.estimators.cell import Cell
from nalr_bench.estimators.truth import Rows, Truth

RATIOS = (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)
"""|G|²/tr Σ."""

NUM_ROWS = 8
POPULATION = 64
NUMBERS = 1 << 20
"""Numbers held at a time."""

SOURCES = {
    "normal": "independent normal rows",
    "replaced": f"rows of {POPULATION}, with replacement",
    "unreplaced": f"rows of {POPULATION}, without replacement",
}

Raw = NDArray[np.float64]
"""Truths × draws × (|G|², tr Σ), before clamps and corrections."""


class BiasCell(Cell):
    """A cell that keeps the raw pair of every draw, so that biased alternatives use the same draws.

    Attributes
    ----------
    num_rows, samples : int, float
        Of a step.
    population : int, optional
        Population passed to the estimator.
    """

    num_rows: int
    samples: float
    population: int | None = None

    @abstractmethod
    def truths(self) -> list[Truth]:
        """Return the expectation of each series of raw pairs."""

    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(parts, axis=1)


@dataclass(eq=False)
class Shifted(BiasCell):
    """Steps of `NUM_ROWS` rows of one source: the same noise around a mean for each of `RATIOS`."""

    source: str
    dim: int
    study = "bias"
    num_rows = NUM_ROWS
    samples = float(NUM_ROWS)

    def __post_init__(self) -> None:
        self.title = SOURCES[self.source]
        self.name = f"bias {self.source} {self.dim}"
        self.labels = tuple(f"D = {self.dim}, |G|²/tr Σ = {ratio:g}" for ratio in RATIOS)
        self.block = 2000 if self.dim <= 1000 else 500 if self.dim <= 10_000 else 125
        self.population = POPULATION if self.source == "unreplaced" else None

    def means(self) -> list[Rows]:
        """Return the mean gradient (D,) of each ratio."""
        deviations = sampling.deviations(self.dim)
        total_variance = float(np.sum(deviations.astype(np.float64) ** 2))
        return [sampling.mean_of(ratio, total_variance, self.dim) for ratio in RATIOS]

    def truths(self) -> list[Truth]:
        if self.source == "normal":
            return [truth.of_distribution(mean, sampling.deviations(self.dim)) for mean in self.means()]
        everyone = sampling.population(POPULATION, self.dim)
        replaced = self.source == "replaced"
        return [truth.of_population(everyone + mean, replacement=replaced) for mean in self.means()]

    def measure(self, draws: int, seed: int) -> Raw:
        """Return the raw pairs, (ratios, draws, 2)."""
        estimator = NoiseEstimator(decay=0.0, population=self.population)  # the latest step alone
        found = np.empty((len(RATIOS), draws, 2))
        means, place = self.means(), 0
        shifted = np.empty((NUM_ROWS, self.dim), dtype=np.float32)
        for steps in self._noise(draws, seed):
            for rows in steps:
                for k, mean in enumerate(means):
                    np.add(rows, mean, out=shifted)
                    estimator.update(shifted)
                    found[k, place] = estimator.signal, estimator.total_variance
                place += 1
        return found

    def _noise(self, draws: int, seed: int) -> Iterator[Rows]:
        """Yield rows without their mean, (some draws, k, D) at a time."""
        at_once = max(1, NUMBERS // (NUM_ROWS * self.dim))
        if self.source == "normal":
            for number, start in enumerate(range(0, draws, at_once)):
                shape = (min(at_once, draws - start), NUM_ROWS, self.dim)
                yield sampling.noise(shape, sampling.deviations(self.dim), seed, number)
            return
        choose = sampling.with_replacement if self.source == "replaced" else sampling.without_replacement
        chosen = choose(draws, NUM_ROWS, POPULATION, seed)
        everyone = sampling.population(POPULATION, self.dim)
        for start in range(0, draws, at_once):
            yield everyone[chosen[start : start + at_once]]
