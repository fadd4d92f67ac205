"""Input checks of what comes beside the rows: preconditioner, H·step, groups of columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr.arrays.gradients import Gradients, as_vector

Vector = NDArray[np.float64]


def scaled(rows: Gradients, preconditioner: ArrayLike) -> Gradients:
    """Return the rows times P^½, scaled as they are read."""
    return rows.scaled(np.sqrt(_dense("preconditioner", preconditioner, rows.dimension, positive=True)))


def moved_by(hessian_step: ArrayLike, preconditioner: ArrayLike | None, dimension: int) -> Vector:
    """Return H s as it is to be added to the rows' mean: a copy, scaled like them."""
    moved = _dense("hessian_step", hessian_step, dimension)
    if preconditioner is not None:
        moved *= np.sqrt(_dense("preconditioner", preconditioner, dimension, positive=True))
    return moved


def _dense(name: str, value: ArrayLike, dimension: int, *, positive: bool = False) -> Vector:
    """Return a copy (D,) in float64 of finite numbers, positive if so asked."""
    vector = np.empty(dimension)
    as_vector(name, value, dimension).copy_row(vector)
    lowest = float(vector.min())
    if not np.isfinite(vector).all() or (positive and lowest <= 0.0):
        rule = "hold positive, finite numbers" if positive else "hold finite numbers"
        raise ValueError(f"`{name}` must {rule}, got some as low as {lowest!r}.")
    return vector


def checked_groups(groups: Mapping[str, slice] | None) -> dict[str, slice]:
    """Return a copy of `groups`, an empty one for None."""
    checked = dict(groups or {})
    for name, columns in checked.items():
        if not isinstance(name, str) or not isinstance(columns, slice):
            raise TypeError(f"`groups` must map names to slices of columns, got {name!r}: {columns!r}.")
    return checked
