"""The line or plane in parameter space that a plot shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """The points center + coordinates @ directions; a line where there is one direction."""

    center: Array  # (D,)
    directions: Array  # (1 or 2, D)
    labels: tuple[str, ...]  # one per direction

    def lift(self, coordinates: Array) -> Array:
        """Return the points (..., D) at `coordinates` (..., 1 or 2)."""
        return self.center + coordinates @ self.directions

    def project(self, points: Array) -> Array:
        """Return the coordinates (..., 1 or 2) of the nearest points of the plane to `points` (..., D)."""
        return np.asarray((points - self.center) @ np.linalg.pinv(self.directions))


def choose_plane(
    dim: int, visible: Sequence[Array], directions: ArrayLike | None, center: ArrayLike | None
) -> Plane:
    """Return the parameters themselves up to two, else the given directions, else the principal ones.

    `visible` holds the finite points (N_i, D) of the trajectories to show.
    """
    if directions is not None:
        rows = real_array("directions", directions)
        if rows.shape != (2, dim):
            raise ValueError(f"`directions` must have shape (2, {dim}), got shape {rows.shape}.")
        if not np.isfinite(rows).all() or np.linalg.matrix_rank(rows) < 2:
            raise ValueError("`directions` must be finite and not parallel.")
        middle = np.zeros(dim) if center is None else _center(center, dim)
        return Plane(middle, rows, ("coordinate along direction 1", "coordinate along direction 2"))
    if dim <= 2:
        if center is not None:
            raise ValueError(f"`center` needs `directions` where dim is {dim}: the axes are the parameters.")
        return Plane(np.zeros(dim), np.eye(dim), tuple(f"parameter {j + 1}" for j in range(dim)))
    points = np.concatenate(visible) if visible else np.empty((0, dim))
    if len(points) < 2:
        raise ValueError(
            f"`trajectories` with at least two finite points, or `directions` of shape (2, {dim}), "
            f"must be given to draw a landscape of dim {dim}."
        )
    return _principal_plane(points, center)


def _principal_plane(points: Array, center: ArrayLike | None) -> Plane:
    """Return the plane of largest variance of two or more `points` (N, D), through their mean or `center`."""
    mean = points.mean(axis=0)
    _, scales, rows = np.linalg.svd(points - mean, full_matrices=False)
    rows = rows[:2]
    largest = rows[np.arange(2), np.abs(rows).argmax(axis=1)]
    rows = rows * np.where(largest < 0.0, -1.0, 1.0)[:, None]  # the sign of a singular vector is arbitrary
    total = (scales**2).sum()
    shares = scales[:2] ** 2 / total if total > 0.0 else np.zeros(2)
    labels = tuple(
        f"principal direction {j} ({share:.1%} of variance)" for j, share in enumerate(shares, start=1)
    )
    return Plane(mean if center is None else _center(center, mean.size), rows, labels)


def _center(value: ArrayLike, dim: int) -> Array:
    array = real_array("center", value)
    if array.shape != (dim,) or not np.isfinite(array).all():
        raise ValueError(f"`center` must be {dim} finite numbers, got {value!r}.")
    return array


def real_array(name: str, value: ArrayLike) -> Array:
    """Return `value` as float64 if it holds real numbers."""
    array = _checks.array(name, value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {array.dtype}.")
    return array.astype(np.float64)
