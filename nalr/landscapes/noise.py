"""Distributions of the gradient noise of a sample."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.landscapes.surfaces import Quadratic

Array = NDArray[np.float64]


class Noise(ABC):
    """Zero-mean noise of rows, independent from row to row."""

    def __init__(self, scale: float) -> None:
        self.scale = scale  # RMS per-coordinate standard deviation of one row, or of its relative error

    @abstractmethod
    def draw(self, rng: np.random.Generator, gradient: Array, batch_size: int) -> Array:
        """Return the noise of `batch_size` rows (B, D) where the true gradient is `gradient` (D,)."""

    def covariance(self, gradient: Array) -> Array:
        """Return the exact covariance (D, D) of one row; scale² I unless a distribution says otherwise."""
        return self.scale**2 * np.eye(gradient.size)


class Gaussian(Noise):
    """Independent normal noise in every coordinate."""

    def draw(self, rng: np.random.Generator, gradient: Array, batch_size: int) -> Array:
        """Return scale · N(0, I) rows."""
        return self.scale * rng.standard_normal((batch_size, gradient.size))


class StudentT(Noise):
    """Multivariate Student-t noise scaled to unit variance: heavy tails, shared by all coordinates of a row.

    More than 2 degrees of freedom, since the variance is infinite otherwise.
    """

    def __init__(self, scale: float, *, degrees_of_freedom: float = 4.0) -> None:
        super().__init__(scale)
        self.degrees_of_freedom = _checks.real(
            "degrees_of_freedom",
            degrees_of_freedom,
            "greater than 2 and finite",
            2.0,
            math.inf,
            closed="neither",
        )

    def draw(self, rng: np.random.Generator, gradient: Array, batch_size: int) -> Array:
        """Return normal rows, each divided by the root of its own chi-square."""
        normal = rng.standard_normal((batch_size, gradient.size))
        chi_square = rng.chisquare(self.degrees_of_freedom, size=(batch_size, 1))
        return self.scale * normal * np.sqrt((self.degrees_of_freedom - 2.0) / chi_square)


class Spikes(Noise):
    """Gaussian rows of which a few are many times larger, scaled so that the total variance is scale²."""

    def __init__(self, scale: float, *, spike_probability: float = 0.01, spike_size: float = 30.0) -> None:
        super().__init__(scale)
        self.spike_probability = _checks.real("spike_probability", spike_probability, "in [0, 1]", 0.0, 1.0)
        self.spike_size = _checks.real(
            "spike_size", spike_size, "at least 1 and finite", 1.0, math.inf, closed="left"
        )

    def draw(self, rng: np.random.Generator, gradient: Array, batch_size: int) -> Array:
        """Return normal rows, each times 1 or, with the small probability, `spike_size`."""
        normal = rng.standard_normal((batch_size, gradient.size))
        spike = rng.random((batch_size, 1)) < self.spike_probability
        second_moment = 1.0 + self.spike_probability * (self.spike_size**2 - 1.0)
        return self.scale / math.sqrt(second_moment) * normal * np.where(spike, self.spike_size, 1.0)


class Multiplicative(Noise):
    """Noise proportional to the gradient, coordinate by coordinate; it vanishes at the optimum."""

    def draw(self, rng: np.random.Generator, gradient: Array, batch_size: int) -> Array:
        """Return scale · gradient · N(0, I) rows."""
        return self.scale * gradient * rng.standard_normal((batch_size, gradient.size))

    def covariance(self, gradient: Array) -> Array:
        """Return diag(scale² gradient²)."""
        return np.diag((self.scale * gradient) ** 2)


class HessianShaped(Noise):
    """Another noise transformed to a covariance proportional to H, with the same trace.

    As squared losses have near their minimum, where Hessian and Fisher matrix agree.
    """

    def __init__(self, white: Noise, surface: Quadratic) -> None:
        super().__init__(white.scale)
        self.white = white
        self.surface = surface
        self.stretch = surface.dim / surface.spectrum.sum()  # makes tr C = D · scale²

    def draw(self, rng: np.random.Generator, gradient: Array, batch_size: int) -> Array:
        """Return white rows times the root of H, normalised."""
        rows = self.white.draw(rng, gradient, batch_size)
        return np.asarray(math.sqrt(self.stretch) * self.surface.hessian_root_rows(rows))

    def covariance(self, gradient: Array) -> Array:
        """Return scale² D H / tr H."""
        return np.asarray(self.scale**2 * self.stretch * self.surface.hessian())


NOISES: dict[str, type[Noise]] = {
    "gaussian": Gaussian,
    "student_t": StudentT,
    "spikes": Spikes,
    "multiplicative": Multiplicative,
}
