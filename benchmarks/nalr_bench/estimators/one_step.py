"""Coverage of the intervals that one step's rows give: the jackknife over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.noise.estimator import NoiseEstimator
from nalr_bench.estimators import sampling, truth
from nalr_bench.estimators.cell import CoverageCell


@dataclass(frozen=True)
class OneStep(CoverageCell):
    """Steps of `num_rows` rows, each with an estimator of its own.

    Parameters
    ----------
    num_rows, dim : int
        Shape of the rows.
    ratio : float
        |G|²/tr Σ.
    population : int, optional
        Size of the finite population that rows are drawn from without replacement; none: independent normals.
    """

    num_rows: int
    dim: int
    ratio: float
    population: int | None = None
    block = 1000
    quantities = truth.QUANTITIES

    @property
    def study(self) -> str:
        """Which of the two studies that use it."""
        return "rows" if self.population is None else "population"

    @property
    def title(self) -> str:
        """As in the table."""
        return "one step, independent rows" if self.population is None else "one step, without replacement"

    @property
    def name(self) -> str:
        """All settings."""
        return f"one step {self.labels[0]}"

    @property
    def labels(self) -> tuple[str, ...]:
        """The settings, as one label."""
        among = "" if self.population is None else f" of {self.population}"
        return (f"{self.num_rows}{among} rows, D = {self.dim}, |G|²/tr Σ = {self.ratio:g}",)

    def measure(self, draws: int, seed: int) -> NDArray[np.int64]:
        """Return how often each interval held the truth."""
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
