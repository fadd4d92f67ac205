"""Bowls under regular waves: many minima, one of them global."""

from __future__ import annotations

import math

import numpy as np

from nalr import _checks
from nalr.landscapes import settings
from nalr.landscapes.surfaces.surface import Array, Surface


class Rugged(Surface):
    """½ c|x|² + A Σ (1 − cos ωx_j): a bowl of curvature c with divots of depth 2A every 2π/ω.

    Not convex once Aω² > c; minima besides the global one, at 0, exist once Aω²/c > 4.6033 (there −sin u / u
    first reaches c/(Aω²)).
    """

    def __init__(
        self, dim: int, *, amplitude: float = 1.0, frequency: float = 10.0, curvature: float = 1.0
    ) -> None:
        super().__init__(dim, np.full(dim, 3.0), np.zeros(dim))
        self.amplitude = settings.non_negative("amplitude", amplitude)
        self.frequency = _checks.positive("frequency", frequency)
        self.curvature = _checks.positive("curvature", curvature)

    def value(self, x: Array) -> Array:
        """Return bowl plus divots, the cosine as 2 sin² so that nothing cancels near 0."""
        divots = 2.0 * self.amplitude * np.sin(0.5 * self.frequency * x) ** 2
        return np.asarray((0.5 * self.curvature * x**2 + divots).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return c x + Aω sin ωx."""
        return self.curvature * x + self.amplitude * self.frequency * np.sin(self.frequency * x)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return (c + Aω² cos ωx) v."""
        return (self.curvature + self.amplitude * self.frequency**2 * np.cos(self.frequency * x)) * v

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value with the divots faded by exp(−½ ω² width²)."""
        fade = math.exp(-0.5 * (self.frequency * width) ** 2)
        divots = self.amplitude * (1.0 - fade * np.cos(self.frequency * x))
        return np.asarray((0.5 * self.curvature * (x**2 + width**2) + divots).sum(axis=-1))


class Rastrigin(Rugged):
    """10 D + Σ x_j² − 10 cos 2πx_j: the rugged bowl with its published constants (Rastrigin 1974)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, amplitude=10.0, frequency=2.0 * math.pi, curvature=2.0)


class Griewank(Surface):
    """1 + |x|²/4000 − Π cos(x_j/√j): a wide shallow bowl under regular waves (Griewank 1981)."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim, np.full(dim, 100.0), np.zeros(dim))
        self.frequency = 1.0 / np.sqrt(np.arange(1, dim + 1))

    def value(self, x: Array) -> Array:
        """Return bowl plus waves."""
        waves = np.cos(self.frequency * x).prod(axis=-1)
        return np.asarray((x**2).sum(axis=-1) / 4000.0 + (1.0 - waves))

    def gradient(self, x: Array) -> Array:
        """Return x/2000 plus each sine times the other cosines."""
        others = _products_of_others(np.cos(self.frequency * x))
        return x / 2000.0 + self.frequency * np.sin(self.frequency * x) * others

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the Hessian times `v`, in O(D²): the Hessian is dense."""
        sine, cosine = np.sin(self.frequency * x), np.cos(self.frequency * x)
        one_moved = np.tile(cosine, (self.dim, 1))  # row k: the cosines with the k-th differentiated along v
        np.fill_diagonal(one_moved, -self.frequency * sine * v)
        change = _products_of_others(one_moved)
        np.fill_diagonal(change, 0.0)
        own = self.frequency**2 * cosine * v * _products_of_others(cosine)
        return np.asarray(v / 2000.0 + own + self.frequency * sine * change.sum(axis=0))

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value with each cosine faded by exp(−½ width²/j)."""
        faded = np.exp(-0.5 * (self.frequency * width) ** 2) * np.cos(self.frequency * x)
        return np.asarray((x**2 + width**2).sum(axis=-1) / 4000.0 + (1.0 - faded.prod(axis=-1)))


def _products_of_others(factors: Array) -> Array:
    """Return, for each of the last axis, the product of all the others; no division, as one may be 0."""
    before, after = np.ones_like(factors), np.ones_like(factors)
    np.cumprod(factors[..., :-1], axis=-1, out=before[..., 1:])
    after[..., :-1] = np.cumprod(factors[..., :0:-1], axis=-1)[..., ::-1]
    return before * after
