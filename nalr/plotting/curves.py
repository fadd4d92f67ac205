"""Plots of training runs: loss, learning rate with the reasons of its changes, noise scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nalr.plotting import style
from nalr.plotting.histories import History, read_histories
from nalr.policies.base import Reason

Array = NDArray[np.float64]
Runs = dict[str, History]

# How reasons are marked that change the rate at once, begin a descent or hold the rate back: one shape a
# reason, one colour a family. Ramps, growth, shrinking and holds are the rule: the line shows them.
SHAPES = {
    Reason.CUT: "v",
    Reason.BLOW_UP: "p",
    Reason.LEVEL: "*",
    Reason.KICK: "^",
    Reason.KICK_KEPT: ">",
    Reason.KICK_ROLLED_BACK: "<",
    Reason.COOL: "d",
    Reason.STALL: "s",
    Reason.ANNEAL: "D",
    Reason.BOUND: "P",
    Reason.CLIP: ".",
    Reason.SKIP: "X",
}
COLOURS = {
    "was cut": style.VERMILLION,
    "held": style.ORANGE,
    "stepped down": style.VERMILLION,
    "kicked": style.GREEN,
    "went back": style.GREEN,
    "cooled": style.PURPLE,
    "annealed": style.PURPLE,
    "bounded": style.SKY,
    "single step": style.BLACK,
}
MARKED = {reason.value: (shape, COLOURS[reason.family]) for reason, shape in SHAPES.items()}
TITLE: dict[str, Any] = {"loc": "left", "fontsize": "medium"}


def plot_training_curves(
    history: Any, *, axes: Any = None, log_loss: bool | Literal["auto"] = "auto"
) -> Figure:
    """Draw the loss, the learning rate and the noise scale of one training run, or of several to compare.

    Parameters
    ----------
    history : History, mapping of columns, or {name: either}
        Columns of equal length: `step`, `loss` (of each minibatch) and `lr`, and if they are known
        `smoothed_loss`, `noise_scale` with the ends of its interval `noise_scale_low` and `noise_scale_high`
        (all in units of the gradient), and `reason`, one word a step. Further columns are ignored. Values
        that are not finite are left out of the lines. Anything with `to_dict()` serves as a mapping.
    axes : sequence of matplotlib Axes, optional
        One for each panel that has data, from the loss down. By default a new figure, unknown
        to pyplot; `figure.savefig` saves it. For a window, pass axes from `pyplot.subplots`.
    log_loss : bool or "auto"
        Whether the loss has a logarithmic axis; "auto": if all losses are positive and span more than a
        factor of ten. Losses that are not positive are left out of a logarithmic axis.

    Returns
    -------
    matplotlib Figure
        The panels that have data, above one another: the loss, faint, under its smooth; the learning rate on
        a logarithmic axis; the noise scale and its interval. The rate is marked at the first step of each run
        of steps with a reason that changes it at once or holds it back: "cut", "blow-up", "level",
        "kick", "kick kept", "kick rolled back", "cool", "anneal", "bound", "clip" or "skip".

    Raises
    ------
    ValueError
        If a run has no steps, no finite number to draw, columns missing or of unequal length, or if `axes`
        are not as many as the panels.
    TypeError
        If `history` is no mapping and has no `to_dict`, or a column does not hold numbers.

    Examples
    --------
    >>> history = {"step": [0, 1, 2], "loss": [3.0, 9.0, 1.0], "lr": [0.1, 0.01, 0.01],
    ...            "reason": ["ramp", "cut", "hold"]}
    >>> figure = plot_training_curves(history)
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['loss', 'learning rate']
    """
    if log_loss not in (True, False, "auto"):
        raise ValueError(f'`log_loss` must be True, False or "auto", got {log_loss!r}.')
    runs = read_histories(history)
    panels = [(draw, height) for draw, height, columns in PANELS if _has_data(runs, columns)]
    if not panels:
        raise ValueError("`history` must have a finite loss, learning rate or noise scale, got none.")
    where = _new_axes([height for _, height in panels]) if axes is None else _given_axes(axes, len(panels))
    for (draw, _), ax in zip(panels, where, strict=True):
        draw(ax, runs, log_loss)
        ax.grid(alpha=0.25)
    where[-1].set_xlabel("step")
    return where[0].figure.figure  # the whole figure also where the axes are in a subfigure


def _new_axes(heights: Sequence[float]) -> list[Axes]:
    figure = style.new_figure(8.0, 0.6 + sum(heights))
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights))
    return list(grid[:, 0])


def _given_axes(axes: Any, number: int) -> list[Axes]:
    given = [axes] if isinstance(axes, Axes) else list(np.asarray(axes, dtype=object).ravel())
    if len(given) != number:
        raise ValueError(f"`axes` must be {number}, one for each panel with data, got {len(given)}.")
    return given


def _has_data(runs: Runs, columns: Sequence[str]) -> bool:
    return any(np.isfinite(getattr(run, column)).any() for run in runs.values() for column in columns)


def _draw_loss(ax: Axes, runs: Runs, log_loss: bool | Literal["auto"]) -> None:
    predicted = any(run.predicted for run in runs.values())
    raw, smoothed = ("predicted change", "smoothed") if predicted else ("minibatch loss", "smoothed loss")
    losses = [np.concatenate([run.loss, run.smoothed_loss]) for run in runs.values()]
    if _spans_a_decade(np.concatenate(losses)) if log_loss == "auto" else log_loss:
        ax.set_yscale("log", nonpositive="mask")
    for index, (name, run) in enumerate(runs.items()):
        smooth = bool(np.isfinite(run.smoothed_loss).any())
        raw_label = raw if not name else None if smooth else name
        strong = _line(index)
        faint = {"color": strong["color"], "alpha": 0.3, "linewidth": 0.8, "zorder": 1.5}
        _plot(ax, run.step, run.loss, label=raw_label, **(faint if smooth else strong | {"linewidth": 0.8}))
        if smooth:
            _plot(ax, run.step, run.smoothed_loss, label=name or smoothed, **strong)
    any_smooth = _has_data(runs, ["smoothed_loss"])
    title = "Loss, smoothed and of each minibatch (faint)" if any_smooth else "Loss of each minibatch"
    if predicted:
        title = "No loss was given: the change of it that gradients predict"
    ax.set_title(title, **TITLE)
    ax.set_ylabel("predicted change" if predicted else "loss")
    style.legend_beside(ax)


def _draw_rate(ax: Axes, runs: Runs, _: Any) -> None:
    rates = np.concatenate([run.lr for run in runs.values()])
    if (rates[np.isfinite(rates)] > 0.0).any():
        ax.set_yscale("log", nonpositive="mask")
    for index, (name, run) in enumerate(runs.items()):
        _plot(ax, run.step, run.lr, **_line(index))
        for reason, (marker, colour) in MARKED.items():
            starts = run.starts_of(reason)
            if starts.size:
                ax.plot(
                    run.step[starts],
                    run.lr[starts],
                    linestyle="none",
                    marker=marker,
                    markersize=8,
                    markeredgecolor="white",
                    color=style.look(index)["color"] if name else colour,
                    zorder=3,
                )
    # Where several runs are compared colours stand for runs, so the legend shows the shapes alone.
    seen = {each for run in runs.values() for each in run.reason}
    for reason, (marker, colour) in MARKED.items():
        if reason in seen:
            key = "0.3" if "" not in runs else colour
            ax.plot([], [], linestyle="none", marker=marker, markersize=8, color=key, label=reason)
    ax.set_title("Learning rate", **TITLE)
    ax.set_ylabel("learning rate")
    style.legend_beside(ax, title="reason")


def _draw_noise(ax: Axes, runs: Runs, _: Any) -> None:
    if _spans_a_decade(np.concatenate([run.noise_scale for run in runs.values()])):
        ax.set_yscale("log", nonpositive="mask")
    for index, (name, run) in enumerate(runs.items()):
        line = _line(index)
        _plot(ax, run.step, run.noise_scale, label=None if name else "estimate", **line)
        known = np.isfinite(run.noise_scale_low) & np.isfinite(run.noise_scale_high) & np.isfinite(run.step)
        if known.any():
            ax.fill_between(
                run.step[known],
                run.noise_scale_low[known],
                run.noise_scale_high[known],
                color=line["color"],
                alpha=0.15,
                linewidth=0.0,
                label=None if name else "interval",
            )
    ax.set_title("Noise scale of the gradient", **TITLE)
    ax.set_ylabel("noise scale\n(gradient units)")
    style.legend_beside(ax)


# The function of each panel, its height in inches, and the columns of which it needs one.
PANELS: tuple[tuple[Callable[[Axes, Runs, Any], None], float, tuple[str, ...]], ...] = (
    (_draw_loss, 2.6, ("loss", "smoothed_loss")),
    (_draw_rate, 2.3, ("lr",)),
    (_draw_noise, 1.7, ("noise_scale",)),
)


def _line(index: int) -> dict[str, Any]:
    look = style.look(index)
    return {"color": look["color"], "linestyle": look["linestyle"], "linewidth": 1.6}


def _plot(ax: Axes, x: Array, y: Array, **look: Any) -> None:
    """Draw a line through the finite points, so that sparse columns are lines too."""
    finite = np.isfinite(x) & np.isfinite(y)
    ax.plot(x[finite], y[finite], marker="o" if finite.sum() == 1 else "", **look)


def _spans_a_decade(values: Array) -> bool:
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0.0 and finite.max() > 10.0 * finite.min())
