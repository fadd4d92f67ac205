"""Coverage of the interval of Hutchinson's trace: its mean over random probes, and their spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr.bench.estimators.cell import CoverageCell
from nalr.intervals import student_t_quantile
from nalr.probes import ProbeAverage, normal, rademacher

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Trace(CoverageCell):
    """The trace of a symmetric matrix with both signs among its eigenvalues, at several numbers of probes."""

    dim: int
    study = "probes"
    title = "Hutchinson's trace"
    counts = (4, 8, 16, 64)
    quantities = ("tr H",)
    block = 500

    @property
    def name(self) -> str:
        """The dimension."""
        return f"trace {self.dim}"

    @property
    def labels(self) -> tuple[str, ...]:
        """Number of probes."""
        return tuple(f"{count} probes, D = {self.dim}" for count in self.counts)

    def measure(self, draws: int, seed: int) -> NDArray[np.int64]:
        """Return how often the interval held the trace, at each number of probes."""
        matrix = hessian(self.dim)
        exact = float(np.trace(matrix))
        found = np.zeros((len(self.counts), 1), dtype=np.int64)
        for draw in range(draws):
            average = ProbeAverage()
            for index in range(self.counts[-1]):
                probe = rademacher(
                    self.dim, seed=seed, index=draw * self.counts[-1] + index, dtype=np.float64
                )
                average.update(probe, matrix @ probe)
                if average.count in self.counts:
                    width = student_t_quantile(CONFIDENCE, average.count - 1.0) * average.trace_standard_error
                    found[self.counts.index(average.count), 0] += abs(average.trace - exact) <= width
        return found


def hessian(dim: int) -> NDArray[np.float64]:
    """Return a symmetric matrix: a falling diagonal, and normals beside it."""
    square = normal(dim * dim, seed=dim, dtype=np.float64).reshape(dim, dim)
    found: NDArray[np.float64] = np.diag(10.0 / np.arange(1.0, dim + 1.0)) + (square + square.T) / np.sqrt(
        dim
    )
    return found
