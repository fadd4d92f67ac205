"""Coverage of intervals from the rows of one step, by the jackknife over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.noise.estimator import NoiseEstimator
from nalr_bench.estimators import sampling, truth
from nalr_bench.estimators.cell import CoverageCell


@dataclass(eq=False)
class OneStep(CoverageCell):
    """Single steps of rows (num_rows, dim) with |G|²/tr Σ = `ratio`.

    Rows are independent normals, or drawn without replacement from a finite `population`.
    """

    num_rows: int
    dim: int
    ratio: float
    population: int | None = None
    block = 1000
    quantities = truth.QUANTITIES

    def __post_init__(self) -> None:
        among = "" if self.population is None else f" of {self.population}"
        self.study = "rows" if self.population is None else "population"
        self.title = f"one step, {'independent rows' if self.population is None else 'without replacement'}"
        self.labels = (f"{self.num_rows}{among} rows, D = {self.dim}, |G|²/tr Σ = {self.ratio:g}",)
        self.name = f"one step {self.labels[0]}"

    def measure(self, draws: int, seed: int) -> NDArray[np.int64]:
        """Return how often each interval covered the truth."""
        counts = np.zeros((1, len(self.quantities)), dtype=np.int64)
        deviations = sampling.deviations(self.dim)
        mean = sampling.mean_of(self.ratio, float(deviations @ deviations), self.dim)
        if self.population is None:
            exact = truth.of_distribution(mean, deviations)
            rows = sampling.noise((draws, self.num_rows, self.dim), deviations, seed)
            rows += mean
        else:
            everyone = sampling.population(self.population, self.dim) + mean
            exact = truth.of_population(everyone, replacement=False)
            rows = everyone[sampling.without_replacement(draws, self.num_rows, self.population, seed)]
        for step in rows:
            reading = NoiseEstimator(population=self.population).update(step).reading()
            counts[0] += exact.covered(reading)
        return counts
