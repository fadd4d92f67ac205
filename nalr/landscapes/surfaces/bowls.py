"""Quadratic surfaces: one that stands still and one whose optimum moves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nalr import _checks
from nalr.landscapes import settings
from nalr.landscapes.surfaces.surface import Array, Surface


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
        centre = np.zeros(dim) if optimum is None else settings.vector("optimum", optimum, dim)
        super().__init__(dim, centre + 3.0, centre)
        self.spectrum = _eigenvalues(dim, spectrum, condition)
        self.rotation_seed = seed if settings.flag("rotate", rotate) else None
        self.basis = _random_rotation(dim, self.rotation_seed)  # (D, D), eigenvectors in columns

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

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the rotation, so that a run resumes on the same surface."""
        return {"rotation_seed": self.rotation_seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Turn the surface as it was turned."""
        if state["rotation_seed"] != self.rotation_seed:
            self.rotation_seed = state["rotation_seed"]
            self.basis = _random_rotation(self.dim, self.rotation_seed)

    def _to_eigenbasis(self, x: Array) -> Array:
        return x if self.basis is None else x @ self.basis

    def _apply(self, eigenvalues: Array, x: Array) -> Array:
        scaled = eigenvalues * self._to_eigenbasis(x)
        return scaled if self.basis is None else scaled @ self.basis.T


class Drifting(Surface):
    """A quadratic whose optimum drifts at each step and leaps at every `jump_every`-th."""

    def __init__(
        self,
        dim: int,
        *,
        drift: ArrayLike = 0.01,
        jump_every: int | None = None,
        jump_size: float = 1.0,
        spectrum: ArrayLike | None = None,
        condition: float | None = None,
        rotate: bool = False,
        optimum: ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        self.quadratic = Quadratic(
            dim, spectrum=spectrum, condition=condition, rotate=rotate, optimum=optimum, seed=seed
        )
        super().__init__(dim, self.quadratic.start, self.quadratic.optimum)
        self.drift = settings.vector("drift", np.full(dim, drift) if np.ndim(drift) == 0 else drift, dim)
        self.jump_every = None if jump_every is None else _checks.count("jump_every", jump_every, 1)
        self.jump_size = settings.non_negative("jump_size", jump_size)
        self.first_optimum = self.optimum
        self.step = 0

    def advance(self, rng: np.random.Generator) -> None:
        """Drift, and leap in a random direction when it is time."""
        self.step += 1
        moved = self.optimum + self.drift
        if self.jump_every is not None and self.step % self.jump_every == 0:
            direction = rng.standard_normal(self.dim)
            moved = moved + self.jump_size * direction / np.linalg.norm(direction)
        self._move_to(moved)

    def restart(self) -> None:
        """Put the optimum back where it began."""
        self.step = 0
        self._move_to(self.first_optimum)

    def state_dict(self) -> dict[str, Any]:
        """Return the step and the present optimum, besides what the quadratic has."""
        return self.quadratic.state_dict() | {"step": self.step, "optimum": self.optimum.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from that step and optimum."""
        self.quadratic.load_state_dict(state)
        self.step = int(state["step"])
        self._move_to(np.asarray(state["optimum"], dtype=np.float64))

    def value(self, x: Array) -> Array:
        """Return the quadratic about the present optimum."""
        return self.quadratic.value(x)

    def gradient(self, x: Array) -> Array:
        """Return H (x − x*) with the present optimum."""
        return self.quadratic.gradient(x)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return H v."""
        return self.quadratic.hessian_vector(x, v)

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the smoothed quadratic."""
        return self.quadratic.smoothed(x, width)

    def _move_to(self, optimum: Array) -> None:
        self.optimum = self.quadratic.optimum = optimum


def _eigenvalues(dim: int, spectrum: ArrayLike | None, condition: float | None) -> Array:
    if spectrum is not None and condition is not None:
        raise ValueError("`spectrum` and `condition` both set the eigenvalues; give one of them.")
    if condition is not None:
        number = _checks.real("condition", condition, "at least 1 and finite", 1.0, math.inf, closed="left")
        return np.geomspace(1.0, 1.0 / number, dim)
    if spectrum is None:
        return np.ones(dim)
    eigenvalues = settings.vector("spectrum", spectrum, dim)
    if eigenvalues.min() < 0.0 or eigenvalues.max() <= 0.0:
        raise ValueError(f"`spectrum` must be non-negative with one positive value, got {eigenvalues!r}.")
    return eigenvalues


def _random_rotation(dim: int, seed: int | None) -> Array | None:
    """Return an orthogonal matrix, uniform (Haar): QR of a Gaussian one, signs fixed (Stewart 1980).

    No seed, no rotation: None.
    """
    if seed is None:
        return None
    # A stream of its own, so that rotating the surface leaves the noise of the same seed as it was.
    gaussian = np.random.default_rng([seed, 1]).standard_normal((dim, dim))
    orthogonal, triangular = np.linalg.qr(gaussian)
    return np.asarray(orthogonal * np.sign(np.diag(triangular)))
