"""Coverage of the interval of Hutchinson's trace, from the spread of its random probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.curvature import HutchinsonEstimator
from nalr.curvature.probes import normal
from nalr_bench.estimators.cell import CoverageCell

GAUSSIAN = 1.96
SPECTRA = ("both signs", "rank one")


@dataclass(eq=False)
class Trace(CoverageCell):
    """The trace of one matrix at several numbers of probes, fewer than `dim`; a new series for each draw.

    Values of vᵀHv are nearly normal for the first of `SPECTRA` and very skewed for the second.
    """

    spectrum: str
    dim: int = 100
    study = "probes"
    title = "Hutchinson's trace"
    counts = (8, 16, 64)
    quantities = ("tr H", "tr H, ± 1.96 standard errors")
    block = 500

    def __post_init__(self) -> None:
        self.name = f"trace {self.spectrum} {self.dim}"
        self.labels = tuple(f"{count} probes, {self.spectrum}, D = {self.dim}" for count in self.counts)

    def measure(self, draws: int, seed: int) -> NDArray[np.int64]:
        """Return how often each interval covered the trace, at each number of probes."""
        matrix = hessian(self.spectrum, self.dim)
        exact = float(np.trace(matrix))
        found = np.zeros((len(self.counts), len(self.quantities)), dtype=np.int64)
        for draw in range(draws):
            reading = None
            for place, count in enumerate(self.counts):
                estimator = HutchinsonEstimator(num_probes=count, seed=(seed + draw) % 2**64)
                reading = estimator.trace(matrix, resume=reading)
                found[place, 0] += reading.interval[0] <= exact <= reading.interval[1]
                found[place, 1] += abs(reading.trace - exact) <= GAUSSIAN * reading.standard_error
        return found


def hessian(spectrum: str, dim: int) -> NDArray[np.float64]:
    """Return a symmetric matrix: a falling diagonal plus normals, or vvᵀ."""
    if spectrum == "rank one":
        vector = normal(dim, seed=dim, dtype=np.float64)
        return np.outer(vector, vector)
    square = normal(dim * dim, seed=dim, dtype=np.float64).reshape(dim, dim)
    return np.asarray(np.diag(10.0 / np.arange(1.0, dim + 1.0)) + (square + square.T) / np.sqrt(dim))
