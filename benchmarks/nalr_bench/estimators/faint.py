"""A faint signal in much noise, for which biased alternatives are wrong by a large factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nalr.noise.estimator import NoiseEstimator
from nalr_bench.estimators import sampling, truth
from nalr_bench.estimators.bias import BiasCell, Raw
from nalr_bench.estimators.truth import Rows, Truth


@dataclass(eq=False)
class Faint(BiasCell):
    """The case of |G|² = .0025, tr Σ = 50 in 50 dimensions, 4 rows a step, each the mean of some samples.

    Clamping each step first, as fairscale's AdaScale does, is 58 times too high with 8 samples a row.
    """

    weight: float
    study = "example"
    num_rows = 4
    dim = 50
    block = 20_000
    times = 20  # the noise of a draw is large compared with its mean
    exact = Truth(0.0025, 50.0)

    def __post_init__(self) -> None:
        samples = "one sample" if self.weight == 1.0 else f"{self.weight:g} samples"
        self.title = f"|G|² = .0025, tr Σ = 50, D = 50, 4 rows of {samples}"
        self.labels = (self.title,)
        self.name = f"faint {self.weight:g}"
        self.samples = self.weight * self.num_rows

    def truths(self) -> list[Truth]:
        mean, deviations = self._normal()
        return [truth.of_distribution(mean, deviations)]

    def _normal(self) -> tuple[Rows, Rows]:
        return (
            sampling.mean_of(1.0, self.exact.signal, self.dim),
            np.full(self.dim, np.sqrt(self.exact.total_variance / self.dim), dtype=np.float32),
        )

    def measure(self, draws: int, seed: int) -> Raw:
        """Return the raw pairs, (1, draws, 2)."""
        mean, deviations = self._normal()
        scale = (deviations / np.sqrt(self.weight)).astype(np.float32)
        steps = sampling.noise((draws, self.num_rows, self.dim), scale, seed)
        steps += mean
        estimator = NoiseEstimator(decay=0.0)
        weights = [self.weight] * self.num_rows
        found = np.empty((1, draws, 2))
        for place, rows in enumerate(steps):
            estimator.update(rows, weights)
            found[0, place] = estimator.signal, estimator.total_variance
        return found
