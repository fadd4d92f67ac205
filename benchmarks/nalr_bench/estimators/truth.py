"""Exact |G|² and tr Σ of simulated rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr.noise.reading import NoiseReading

Rows = NDArray[np.float32]

QUANTITIES = ("tr Σ", "|G|²", "B_simple", "signal fraction")
"""Quantities with intervals, in the order of `covered`."""


class Truth(NamedTuple):
    """Exact values, in float64, for float32 rows."""

    signal: float
    total_variance: float

    @property
    def noise_scale(self) -> float:
        """The truth of B_simple, tr Σ/|G|²."""
        return self.total_variance / self.signal

    def signal_fraction(self, batch_size: float) -> float:
        """Return the truth of ρ = |G|²/(|G|² + tr Σ/B)."""
        return self.signal / (self.signal + self.total_variance / batch_size)

    def covered(self, reading: NoiseReading) -> tuple[bool, ...]:
        """Return whether each interval of the reading covers the truth, in the order of `QUANTITIES`."""
        return (
            _within(self.total_variance, reading.total_variance_interval),
            _within(self.signal, reading.signal_interval),
            _within(self.noise_scale, reading.gradient_noise_scale_interval),
            _within(self.signal_fraction(reading.batch_size), reading.signal_fraction_interval),
        )


def of_distribution(mean: Rows, deviations: Rows) -> Truth:
    """Return the truth of independent normals of that mean and those standard deviations, (D,) each."""
    return Truth(_squared_norm(mean), _squared_norm(deviations))


def of_population(rows: Rows, *, replacement: bool) -> Truth:
    """Return the truth of draws from the rows (N, D) of a finite population.

    With replacement the variance divides by N; without, a sample's unbiased variance estimates the
    N − 1 variance of the population.
    """
    exact = rows.astype(np.float64)
    return Truth(
        _squared_norm(exact.mean(axis=0)), float(exact.var(axis=0, ddof=0 if replacement else 1).sum())
    )


def _squared_norm(vector: NDArray[np.floating]) -> float:
    exact = vector.astype(np.float64)
    return float(exact @ exact)


def _within(value: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= value <= interval[1]
