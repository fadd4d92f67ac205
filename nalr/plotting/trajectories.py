"""Trajectories: checked, without points that cannot be drawn, and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from nalr.plotting import style
from nalr.plotting.plane import real_array

Array = NDArray[np.float64]
HUGE = 1e100  # squares of larger numbers overflow; such a point counts as infinite
REACH = 3.0


def read_trajectories(trajectories: ArrayLike | Mapping[str, ArrayLike] | None, dim: int) -> dict[str, Array]:
    """Return {name: (N, D) array}, with nan for points that are not finite."""
    if trajectories is None:
        return {}
    named = trajectories if isinstance(trajectories, Mapping) else {"trajectory": trajectories}
    return {str(name): _points(name, value, dim) for name, value in named.items()}


def _points(name: Any, value: ArrayLike, dim: int) -> Array:
    array = real_array("trajectories", value)
    if dim == 1 and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != dim:
        raise ValueError(f"`trajectories` must have shape (N, {dim}), got shape {array.shape} for {name!r}.")
    drawable: NDArray[np.bool_] = np.all(np.abs(array) < HUGE, axis=1)  # also refuses nan
    return np.where(drawable[:, None], array, np.nan)


def visible_part(points: Array, optimum: Array | None, start: Array | None) -> Array:
    """Return the rows that the plot must show: finite, and not diverged.

    Diverged is farther from the optimum than three times the landscape's start, or the trajectory's, in
    the largest coordinate. Without a known optimum and start nothing counts as diverged.
    """
    finite = points[np.isfinite(points).all(axis=1)]
    if optimum is None or start is None or not len(finite):
        return finite
    reach = np.abs(np.stack([start, finite[0]]) - optimum).max()
    distances: Array = np.abs(finite - optimum).max(axis=1)
    return np.asarray(finite[distances <= REACH * reach])


def draw_trajectory(
    ax: Axes, index: int, name: str, path: Array, height: Callable[[Array], Array] | None
) -> None:
    """Draw `path` (N, 1 or 2) with an open circle at its first finite point and a marker at its last.

    `height` gives the second coordinate where the path has only one. On contours lines have a white rim and
    are solid, as dashes of a jagged path cannot be followed; their end markers differ. On a curve a rim
    would hide the curve.
    """
    xy = path if height is None else _with_height(path, height)
    finite = np.flatnonzero(np.isfinite(xy).all(axis=1))
    ends = finite[[0, -1]] if finite.size else np.empty(0, dtype=int)
    look = style.look(index)
    if height is None:
        look["linestyle"] = "-"
    (line,) = ax.plot(
        xy[:, 0],
        xy[:, 1],
        **look,
        linewidth=2.0 if height is None else 1.0,
        markersize=8,
        markeredgecolor="white",
        markevery=ends[-1:].tolist(),
        label=name,
        zorder=3 + 0.01 * index,
    )
    if height is None:
        line.set_path_effects([patheffects.withStroke(linewidth=3.6, foreground="white")])
    ax.plot(
        *xy[ends[:1]].T,
        linestyle="none",
        marker="o",
        markersize=9,
        markerfacecolor="white",
        markeredgecolor=look["color"],
        markeredgewidth=2.0,
        zorder=4,
    )


def label_start(ax: Axes) -> None:
    """Add the open circle to the legend, in grey since trajectories differ in colour."""
    ax.plot(
        [], [], linestyle="none", marker="o", markerfacecolor="white", markeredgecolor="0.3", label="start"
    )


def _with_height(path: Array, height: Callable[[Array], Array]) -> Array:
    xy = np.full((len(path), 2), np.nan)
    finite = np.isfinite(path[:, 0])
    xy[finite, 0] = path[finite, 0]
    xy[finite, 1] = height(path[finite])
    return xy
