"""Coverage of intervals from many steps, by blocks of consecutive steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.moments.record import Moments
from nalr.noise.estimator import NoiseEstimator
from nalr_bench.estimators import sampling, truth
from nalr_bench.estimators.cell import CoverageCell
from nalr_bench.estimators.truth import Rows, Truth

DECAYS = (0.99, 0.999)
NUM_ROWS = 8
DIM = 20

Series = NDArray[np.float64]
"""Runs × steps × (|ḡ|², Σ|gᵢ − ḡ|²): the sums of each step."""


class ManySteps(CoverageCell):
    """Runs of many steps, read at several lengths, with each of `DECAYS`.

    Rows are reduced to two sums, for `NoiseEstimator.update_moments`; other studies test `update`.

    Attributes
    ----------
    ratio : float
        |G|²/tr Σ.
    lengths : tuple of int
        Steps after which a run is read.
    population : int, optional
        Size of the finite population of rows, as passed to the estimator.
    """

    ratio: float
    lengths: tuple[int, ...]
    population: int | None = None
    block = 50  # some 150 MB of rows for long runs

    quantities: tuple[str, ...] = truth.QUANTITIES

    def __post_init__(self) -> None:
        self.name = f"{self.title} {self.ratio:g}"
        self.labels = tuple(
            f"{length} steps, decay {decay:g}, |G|²/tr Σ = {self.ratio:g}"
            for decay in DECAYS
            for length in self.lengths
        )

    @abstractmethod
    def truth(self) -> Truth:
        """Return what the average over steps should be."""

    @abstractmethod
    def series(self, draws: int, seed: int) -> Series:
        """Return the sums of the steps of each run."""

    def measure(self, draws: int, seed: int) -> NDArray[np.int64]:
        """Return how often each interval covered the truth, at each decay and length."""
        exact = self.truth()
        counts = np.zeros((len(DECAYS), len(self.lengths), len(truth.QUANTITIES)), dtype=np.int64)
        for run in self.series(draws, seed):
            steps = [Moments(NUM_ROWS, float(NUM_ROWS), DIM, *sums) for sums in run.tolist()]
            for decay, found in zip(DECAYS, counts, strict=True):
                found += self._covered(steps, decay, exact)
        return counts.reshape(len(self.labels), -1)

    def _covered(self, steps: Sequence[Moments], decay: float, exact: Truth) -> list[tuple[bool, ...]]:
        estimator = NoiseEstimator(decay=decay, population=self.population)
        found, start = [], 0
        for length in self.lengths:
            for step in steps[start:length]:
                estimator.update_moments(step)
            found.append(exact.covered(estimator.reading()))
            start = length
        return found


@dataclass(eq=False)
class IndependentSteps(ManySteps):
    """Fresh independent rows at each step."""

    ratio: float
    lengths: tuple[int, ...]
    study = "steps"
    title = "independent steps"

    def truth(self) -> Truth:
        return truth.of_distribution(*_normal(self.ratio))

    def series(self, draws: int, seed: int) -> Series:
        mean, deviations = _normal(self.ratio)
        rows = sampling.noise((draws, self.lengths[-1], NUM_ROWS, DIM), deviations, seed)
        rows += mean
        return sums(rows)


@dataclass(eq=False)
class Epochs(ManySteps):
    """Epochs over a finite population, each in a new random order."""

    ratio: float
    lengths: tuple[int, ...] = (16, 64, 256)
    population: int = 512
    study = "population"
    title = "epochs of 64 steps, without replacement"
    block = 1000

    def _everyone(self) -> Rows:
        return sampling.population(self.population, DIM) + _normal(self.ratio)[0]

    def truth(self) -> Truth:
        return truth.of_population(self._everyone(), replacement=False)

    def series(self, draws: int, seed: int) -> Series:
        num_epochs = -(-self.lengths[-1] * NUM_ROWS // self.population)
        orders = sampling.without_replacement(draws * num_epochs, self.population, self.population, seed)
        rows = self._everyone()[orders.reshape(draws, -1, NUM_ROWS)[:, : self.lengths[-1]]]
        return sums(rows)


def sums(rows: Rows) -> Series:
    """Return |ḡ|² and Σ|gᵢ − ḡ|² of rows (..., k, D), as (..., 2)."""
    means = rows.mean(axis=-2, keepdims=True)
    deviations = rows - means
    return np.stack(
        [
            np.einsum("...kd,...kd->...", means, means, dtype=np.float64),
            np.einsum("...kd,...kd->...", deviations, deviations, dtype=np.float64),
        ],
        axis=-1,
    )


def _normal(ratio: float) -> tuple[Rows, Rows]:
    """Return mean and standard deviations."""
    deviations = sampling.deviations(DIM)
    return sampling.mean_of(ratio, float(deviations @ deviations), DIM), deviations
