"""Coverage on correlated runs: the raw pairs of successive steps follow an AR(1) series."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.statistics.intervals import student_t_quantile
from nalr_bench.estimators import sampling, truth
from nalr_bench.estimators.many_steps import DECAYS, DIM, NUM_ROWS, ManySteps, Series
from nalr_bench.estimators.truth import Truth

CORRELATION = 0.9
ALTERNATIVES = ("tr Σ, as if independent", "|G|², as if independent")


@dataclass(eq=False)
class CorrelatedSteps(ManySteps):
    """|G|² and tr Σ with known means, the spread of normal rows, and correlation between steps.

    xₜ = φ xₜ₋₁ + √(1 − φ²) eₜ with normal eₜ, begun in its stationary state, φ = `CORRELATION`.
    """

    ratio: float
    lengths: tuple[int, ...]
    study = "correlated"
    title = f"correlated steps, AR(1) with φ = {CORRELATION}"
    quantities = (*truth.QUANTITIES, *ALTERNATIVES)

    def truth(self) -> Truth:
        deviations = sampling.deviations(DIM)
        mean = sampling.mean_of(self.ratio, float(deviations @ deviations), DIM)
        return truth.of_distribution(mean, deviations)

    def series(self, draws: int, seed: int) -> Series:
        return _sums(self._pairs(draws, seed))

    def measure(self, draws: int, seed: int) -> NDArray[np.int64]:
        """Return the counts of our intervals and of those for independent steps."""
        ours = super().measure(draws, seed)
        pairs, exact = self._pairs(draws, seed), self.truth()
        alternatives = [
            [independent(pairs[:, :length, k], decay, value) for k, value in ((1, exact[1]), (0, exact[0]))]
            for decay in DECAYS
            for length in self.lengths
        ]
        return np.concatenate([ours, np.array(alternatives)], axis=1)

    def _pairs(self, draws: int, seed: int) -> Series:
        """Return runs × steps × (|G|², tr Σ)."""
        exact = self.truth()
        fourth = float((sampling.deviations(DIM).astype(np.float64) ** 4).sum())  # tr Σ²
        signal_noise = float((sampling.deviations(DIM).astype(np.float64) ** 2).sum()) * exact.signal / DIM
        k = NUM_ROWS
        spread = (
            math.sqrt(4.0 * signal_noise / k + 2.0 * fourth / (k * (k - 1))),
            math.sqrt(2.0 * fourth / (k - 1)),
        )
        shocks = sampling.noise((self.lengths[-1], draws, 2), np.ones(2, dtype=np.float32), seed)
        values = shocks.astype(np.float64)
        values[1:] *= math.sqrt(1.0 - CORRELATION**2)
        for before, now in zip(values, values[1:], strict=False):
            now += CORRELATION * before
        return np.moveaxis(values * spread + exact, 0, 1)


def independent(values: NDArray[np.float64], decay: float, exact: float) -> int:
    """Return in how many runs (runs, steps) the interval for independent steps covers the truth."""
    num_steps = values.shape[1]
    weights = decay ** np.arange(num_steps - 1, -1, -1.0)
    weights /= weights.sum()
    error = values.std(axis=1, ddof=1) * math.sqrt(float(weights @ weights))
    width = student_t_quantile(0.95, num_steps - 1.0) * error
    return int(np.count_nonzero(np.abs(values @ weights - exact) <= width))


def _sums(pairs: Series) -> Series:
    """Return the sums of steps whose unbiased (|G|², tr Σ) are `pairs`."""
    signal, variance = pairs[..., 0], pairs[..., 1]
    return np.stack([signal + variance / NUM_ROWS, variance * (NUM_ROWS - 1)], axis=-1)
