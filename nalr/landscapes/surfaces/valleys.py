"""Curved valleys, along which the gradient does not point."""

from __future__ import annotations

import numpy as np

from nalr import _checks
from nalr.landscapes.surfaces.surface import Array, Surface


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
        """Return the value plus the terms of the window's second and fourth moments."""
        left, right, square = x[..., :-1], x[..., 1:], width**2
        wall = square * (1.0 - 2.0 * right + 6.0 * left**2 + 3.0 * square)
        return np.asarray(self.value(x) + (self.narrowness * wall + square).sum(axis=-1))


class Beale(Surface):
    """Σ_k (c_k − x + x y^k)², k = 1, 2, 3: a plateau, sharp ridges and a narrow valley (Beale 1958)."""

    _TARGETS = (1.5, 2.25, 2.625)

    def __init__(self, dim: int) -> None:
        if dim != 2:
            raise ValueError(f"`dim` must be 2 for kind 'beale', got {dim}.")
        super().__init__(dim, np.array([1.0, 1.0]), np.array([3.0, 0.5]))

    def value(self, x: Array) -> Array:
        """Return the sum of squared residuals."""
        left, right = x[..., 0], x[..., 1]
        terms = [(c - left * (1.0 - right**k)) ** 2 for k, c in enumerate(self._TARGETS, start=1)]
        return np.asarray(sum(terms))

    def gradient(self, x: Array) -> Array:
        """Return 2 Σ residual · slope."""
        left, right = x[..., 0], x[..., 1]
        result = np.zeros_like(x)
        for k, c in enumerate(self._TARGETS, start=1):
            residual = c - left * (1.0 - right**k)
            result[..., 0] += 2.0 * residual * (right**k - 1.0)
            result[..., 1] += 2.0 * residual * k * left * right ** (k - 1)
        return result

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """Return 2 Σ (slope slopeᵀ + residual · curvature) v."""
        left, right = x
        result = np.zeros_like(x)
        for k, c in enumerate(self._TARGETS, start=1):
            residual = c - left * (1.0 - right**k)
            mixed = k * right ** (k - 1)
            bend = k * (k - 1) * left * right ** max(k - 2, 0)
            slope = np.array([right**k - 1.0, left * mixed])
            curved = np.array([mixed * v[1], mixed * v[0] + bend * v[1]])
            result += 2.0 * (slope * (slope @ v) + residual * curved)
        return result

    def smoothed(self, x: Array, width: float) -> Array:
        """Return the Gauss-Hermite sum on 4 × 4 nodes, exact here: degree 6 in y, and 4 nodes reach 7."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(4)
        weights = weights / weights.sum()
        total = np.zeros(x.shape[:-1])
        for left, left_weight in zip(nodes, weights, strict=True):
            for right, right_weight in zip(nodes, weights, strict=True):
                total += left_weight * right_weight * self.value(x + width * np.array([left, right]))
        return total
