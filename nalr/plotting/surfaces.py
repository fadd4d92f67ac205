"""Plots of landscapes: a curve, or filled contours of a plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from nalr import _checks
from nalr.plotting import style
from nalr.plotting.box import covering_box, given_box, within_reach
from nalr.plotting.plane import Plane, choose_plane
from nalr.plotting.relief import Relief, choose_relief
from nalr.plotting.trajectories import draw_trajectory, label_start, read_trajectories, visible_part

Array = NDArray[np.float64]
LEVELS = 40


class Drawable(Protocol):
    """What a plot needs of a landscape."""

    @property
    def dim(self) -> int:
        """Number of parameters D."""

    def true_loss(self, params: Array, /) -> Any:
        """Return the loss (...) at `params` (..., D)."""


def visualize_landscape(
    landscape: Drawable,
    trajectories: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    bounds: Sequence[Any] | None = None,
    directions: ArrayLike | None = None,
    center: ArrayLike | None = None,
    smoothing: float | None = None,
    resolution: int | None = None,
    colorbar: bool = True,
    log: bool | Literal["auto"] = "auto",
    ax: Axes | None = None,
) -> Axes:
    """Draw the true loss of a landscape, its optimum, and the trajectories of optimizers.

    One parameter gives a curve, two give filled contours, more give filled contours of a plane.

    Parameters
    ----------
    landscape : Landscape or similar
        Anything with `dim` and `true_loss(params)`, vectorised over leading axes. `optimum` (D,),
        `start` (D,), `name` and `smoothed_loss(params, width)` are used if present.
    trajectories : (N, D) array or {name: (N, D) array}, optional
        Parameters step by step, one row each; (N,) will do for one parameter. Each has an open circle at its
        first finite point and a filled marker at its last. Points that are not finite are left out.
    bounds : (low, high) or ((low, high), (low, high)), optional
        Ends of the axes, in the coordinates of the plot; one pair serves both axes. By default they cover
        trajectories and optimum with a margin, except for diverged points: farther from the optimum than
        three times the start.
    directions : (2, D) array, optional
        Draw the plane center + a·directions[0] + b·directions[1]; the axes are a and b. Trajectories and
        optimum are projected on it. By default, beyond two parameters, the two principal directions of
        the trajectories.
    center : (D,) array, optional
        A point of that plane: by default zeros for given directions, the mean of the trajectories' points
        for principal ones.
    smoothing : float, optional
        Draw `smoothed_loss` with this width, in the units of the parameters, in place of the true loss.
    resolution : int, optional
        Number of points along each axis, at least 2: default 1001 for a curve, 201 for contours. Cost: that
        many evaluations, squared for contours; memory for resolution · D numbers.
    colorbar : bool
        Whether contours come with a colour bar.
    log : bool or "auto"
        Logarithmic levels of the loss above its lowest value. "auto" chooses them for contours of which more
        than half lie in the lowest tenth of the range, as in a narrow valley.
    ax : matplotlib Axes, optional
        Where to draw. By default a new figure, unknown to pyplot; `ax.figure.savefig` saves it. For a
        window, pass axes from `pyplot.subplots`.

    Returns
    -------
    matplotlib Axes
        The axes drawn into.

    Raises
    ------
    ValueError
        If an array has the wrong shape, a bound or width is out of its range, the landscape has no
        `smoothed_loss` to draw, or beyond two parameters neither trajectories nor directions are given.
    TypeError
        If an array does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from nalr.landscapes import create_noisy_landscape
    >>> landscape = create_noisy_landscape(dim=2, kind="rugged", seed=0)
    >>> path = [landscape.start]
    >>> for _ in range(50):
    ...     path.append(path[-1] - 0.02 * landscape.compute_loss_and_grad(path[-1])[1])
    >>> ax = visualize_landscape(landscape, {"SGD": np.array(path)}, resolution=51)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['SGD', 'start', 'optimum']
    """
    dim = landscape.dim
    named = read_trajectories(trajectories, dim)
    optimum, start = _known_point(landscape, "optimum"), _known_point(landscape, "start")
    visible = [visible_part(points, optimum, start) for points in named.values()]
    plane = choose_plane(dim, visible, directions, center)
    size = len(plane.directions)
    box = _default_box(plane, visible, optimum, start) if bounds is None else given_box(bounds, size)
    number = _checks.count("resolution", (1001, 201)[size - 1] if resolution is None else resolution, 2)
    axes = np.linspace(box[:, 0], box[:, 1], number, axis=1)
    plain = _drawn_loss(landscape, smoothing, plane)
    values = plain.on_grid(axes)
    relief = choose_relief(plain, values, optimum, log)
    if relief.log:
        values = np.maximum(values - relief.base, relief.floor)

    if ax is None:
        ax = style.new_figure(7.0, 4.4 if size == 1 else 5.6).add_subplot()
    if size == 1:
        _draw_curve(ax, axes[0], values, relief)
    else:
        _draw_contours(ax, axes, values, relief, colorbar=colorbar)
    for index, (name, points) in enumerate(named.items()):
        path = within_reach(plane.project(points), box)
        draw_trajectory(ax, index, name, path, relief if size == 1 else None)
    if named:
        label_start(ax)
    if optimum is not None:
        _draw_optimum(ax, optimum, relief)
    title = str(getattr(landscape, "name", type(landscape).__name__))
    ax.set_title(title if smoothing is None else f"{title}\nloss smoothed over a width of {smoothing:g}")
    ax.set(xlabel=plane.labels[0], xlim=tuple(box[0]))
    if size == 2:
        ax.set(ylabel=plane.labels[1], ylim=tuple(box[1]))
    style.legend_below(ax)
    return ax


def _known_point(landscape: Drawable, name: str) -> Array | None:
    value = getattr(landscape, name, None)
    return None if value is None else np.asarray(value, dtype=np.float64)


def _drawn_loss(landscape: Drawable, smoothing: float | None, plane: Plane) -> Relief:
    if smoothing is None:
        return Relief(landscape.true_loss, plane, "true loss")
    width = _checks.real("smoothing", smoothing, "non-negative and finite", 0.0, np.inf, closed="left")
    smoothed_loss: Callable[[Array, float], Any] | None = getattr(landscape, "smoothed_loss", None)
    if smoothed_loss is None:
        raise ValueError(
            f"`smoothing` needs a landscape with a `smoothed_loss`, got {type(landscape).__name__}."
        )
    return Relief(lambda params: smoothed_loss(params, width), plane, "smoothed loss")


def _default_box(plane: Plane, visible: list[Array], optimum: Array | None, start: Array | None) -> Array:
    """Return a box around trajectories and optimum, or around the optimum as far as the start."""
    points = [*visible]
    if optimum is not None:
        points.append(optimum[None])
        if start is not None and not any(len(part) for part in visible):
            reach = np.abs(start - optimum).max()
            points += [optimum + sign * reach * np.eye(optimum.size) for sign in (-1.0, 1.0)]
    return covering_box(plane.project(np.concatenate([np.empty((0, plane.center.size)), *points])))


def _draw_curve(ax: Axes, x: Array, values: Array, relief: Relief) -> None:
    if relief.log:
        ax.set_yscale("log")
    ax.plot(x, values, color="0.35", linewidth=1.4, label=relief.label)
    ax.set_ylabel(relief.label + (" (log scale)" if relief.log else ""))
    ax.grid(alpha=0.25)


def _draw_contours(ax: Axes, axes: Array, values: Array, relief: Relief, *, colorbar: bool) -> None:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    norm: Normalize
    if relief.log:
        levels, norm = np.geomspace(low, high, LEVELS), LogNorm(low, high)
    else:
        if low == high:  # a flat landscape has one colour
            low, high = low - 0.5, high + 0.5
        levels, norm = np.linspace(low, high, LEVELS), Normalize(low, high)
    drawn = ax.contourf(*axes, np.ma.masked_invalid(values), levels=levels, norm=norm, cmap=style.SEQUENTIAL)
    if not colorbar:
        return
    bar = ax.figure.colorbar(drawn, ax=ax, label=relief.label + (" (log scale)" if relief.log else ""))
    if relief.log:
        bar.set_ticks(LogLocator(numticks=9))
        bar.ax.minorticks_off()
    else:
        bar.set_ticks(MaxNLocator(7))


def _draw_optimum(ax: Axes, optimum: Array, relief: Relief) -> None:
    coordinates = relief.plane.project(optimum)
    offset = np.abs(relief.plane.lift(coordinates) - optimum).max()
    in_plane = offset <= 1e-9 * (1.0 + np.abs(optimum).max())
    spot = coordinates if coordinates.size == 2 else np.append(coordinates, relief(coordinates))
    ax.plot(
        *spot[:, None],
        linestyle="none",
        marker="*",
        markersize=16,
        markerfacecolor=style.YELLOW,
        markeredgecolor="black",
        label="optimum" if in_plane else "optimum (nearest point)",
        zorder=5,
    )
