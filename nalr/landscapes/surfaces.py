"""Noise-free loss surfaces: value, gradient, curvature, optimum and Gaussian-smoothed value in closed form.

`value`, `gradient` and `smoothed` take points with any leading axes, (..., D). Nothing is checked here but
settings: points are checked at the door, in `landscape.py`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks

Array = NDArray[np.float64]


class Surface(ABC):
    """A smooth function of D parameters with a known global minimum."""

    def __init__(self, dim: int, start: Array, optimum: Array) -> None:
        self.dim = dim
        self.start = start  # (D,) a customary first point
        self.optimum = optimum  # (D,) a global minimiser

    @abstractmethod
    def value(self, x: Array) -> Array:
        """Return the loss (...) at `x` (..., D)."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """Return the gradient (..., D) at `x` (..., D)."""

    @abstractmethod
    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the Hessian at `x` (D,) times `v` (D,)."""

    @abstractmethod
    def smoothed(self, x: Array, width: float) -> Array:
        """Return E f(x + width·z), z standard normal: the value that a Gaussian window of `width` sees."""

    def advance(self, rng: np.random.Generator) -> None:  # noqa: B027  a surface that stands still does nothing
        """Move on by one step of time."""

    def restart(self) -> None:  # noqa: B027
        """Go back to time zero."""

    def state_dict(self) -> dict[str, Any]:
        """Return what `advance` changes, in plain Python types."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take up a state that `state_dict` gave."""


class Quadratic(Surface):
    """½ (x − x*)ᵀ H (x − x*) with the eigenvalues of H given; O(D) unless rotated, then O(D²)."""

    def __init__(
        self,
        dim: int,
        *,
        spectrum: ArrayLike | None = None,
        condition: float | None = None,
        rotate: bool = False,
        optimum: ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        centre = np.zeros(dim) if optimum is None else _setting_vector("optimum", optimum, dim)
        super().__init__(dim, centre + 3.0, centre)
        self.spectrum = _eigenvalues(dim, spectrum, condition)
        self.basis = _random_rotation(dim, seed) if rotate else None  # (D, D), eigenvectors in columns

    def value(self, x: Array) -> Array:
        """Return half the squared distance in the metric of H."""
        return np.asarray(0.5 * (self.spectrum * self._to_eigenbasis(x - self.optimum) ** 2).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return H (x − x*)."""
        return self._apply(self.spectrum, x - self.optimum)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return H v, the same at every `x`."""
        return self._apply(self.spectrum, v)

    def hessian_root_rows(self, rows: Array) -> Array:
        """Return the rows (B, D) times H^½, so that white rows get covariance H."""
        return self._apply(np.sqrt(self.spectrum), rows)

    def hessian(self) -> Array:
        """Return H (D, D)."""
        return self._apply(self.spectrum, np.eye(self.dim))

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value plus ½ width² tr H: smoothing only lifts a quadratic."""
        return np.asarray(self.value(x) + 0.5 * width**2 * self.spectrum.sum())

    def _to_eigenbasis(self, x: Array) -> Array:
        return x if self.basis is None else x @ self.basis

    def _apply(self, eigenvalues: Array, x: Array) -> Array:
        scaled = eigenvalues * self._to_eigenbasis(x)
        return scaled if self.basis is None else scaled @ self.basis.T


class Rugged(Surface):
    """½ c|x|² + A Σ (1 − cos ωx_j): a bowl of curvature c with divots of depth 2A every 2π/ω.

    Not convex once Aω² > c; minima besides the global one, at 0, exist once Aω²/c > 4.6033 (there −sin u / u
    first reaches c/(Aω²)).
    """

    def __init__(
        self, dim: int, *, amplitude: float = 1.0, frequency: float = 10.0, curvature: float = 1.0
    ) -> None:
        super().__init__(dim, np.full(dim, 3.0), np.zeros(dim))
        self.amplitude = _non_negative("amplitude", amplitude)
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


class Rosenbrock(Surface):
    """Σ b (x_{j+1} − x_j²)² + (1 − x_j)²: a curved valley with walls b times steeper than its floor.

    Rosenbrock (1960); from 4 to 7 dimensions there is a second minimum near (−1, 1, …, 1).
    """

    def __init__(self, dim: int, *, narrowness: float = 100.0) -> None:
        if dim < 2:
            raise ValueError(f"`dim` must be at least 2 for kind 'rosenbrock', got {dim}.")
        start = np.ones(dim)
        start[0] = -1.2
        super().__init__(dim, start, np.ones(dim))
        self.narrowness = _checks.positive("narrowness", narrowness)

    def value(self, x: Array) -> Array:
        """Return walls plus floor."""
        left, wall = x[..., :-1], x[..., 1:] - x[..., :-1] ** 2
        return np.asarray((self.narrowness * wall**2 + (1.0 - left) ** 2).sum(axis=-1))

    def gradient(self, x: Array) -> Array:
        """Return the gradient, each term giving to its two coordinates."""
        left, wall = x[..., :-1], x[..., 1:] - x[..., :-1] ** 2
        result = np.zeros_like(x)
        result[..., :-1] = -4.0 * self.narrowness * left * wall - 2.0 * (1.0 - left)
        result[..., 1:] += 2.0 * self.narrowness * wall
        return result

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return the derivative of the gradient along `v`; the Hessian is tridiagonal."""
        left, wall = x[:-1], x[1:] - x[:-1] ** 2
        wall_change = v[1:] - 2.0 * left * v[:-1]
        result = np.zeros_like(x)
        result[:-1] = -4.0 * self.narrowness * (v[:-1] * wall + left * wall_change) + 2.0 * v[:-1]
        result[1:] += 2.0 * self.narrowness * wall_change
        return result

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the value plus what the second and fourth moments of the window add."""
        left, right, square = x[..., :-1], x[..., 1:], width**2
        wall = square * (1.0 - 2.0 * right + 6.0 * left**2 + 3.0 * square)
        return np.asarray(self.value(x) + (self.narrowness * wall + square).sum(axis=-1))


def _setting_vector(name: str, value: ArrayLike, dim: int) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {array.dtype}.")
    if array.shape != (dim,):
        raise ValueError(f"`{name}` must have shape ({dim},), got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got {array!r}.")
    return array.astype(np.float64)


def _non_negative(name: str, value: float) -> float:
    return _checks.real(name, value, "non-negative and finite", 0.0, math.inf, closed="left")


def _eigenvalues(dim: int, spectrum: ArrayLike | None, condition: float | None) -> Array:
    if spectrum is not None and condition is not None:
        raise ValueError("`spectrum` and `condition` both set the eigenvalues; give one of them.")
    if condition is not None:
        number = _checks.real("condition", condition, "at least 1 and finite", 1.0, math.inf, closed="left")
        return np.geomspace(1.0, 1.0 / number, dim)
    if spectrum is None:
        return np.ones(dim)
    eigenvalues = _setting_vector("spectrum", spectrum, dim)
    if eigenvalues.min() < 0.0 or eigenvalues.max() <= 0.0:
        raise ValueError(f"`spectrum` must be non-negative with one positive value, got {eigenvalues!r}.")
    return eigenvalues


def _random_rotation(dim: int, seed: int) -> Array:
    """Return an orthogonal matrix, uniform (Haar): QR of a Gaussian one, signs fixed (Stewart 1980)."""
    # A stream of its own, so that rotating the surface leaves the noise of the same seed as it was.
    gaussian = np.random.default_rng([seed, 1]).standard_normal((dim, dim))
    orthogonal, triangular = np.linalg.qr(gaussian)
    return np.asarray(orthogonal * np.sign(np.diag(triangular)))


SURFACES: dict[str, Callable[..., Surface]] = {
    "quadratic": Quadratic,
    "rugged": Rugged,
    "rosenbrock": Rosenbrock,
}
