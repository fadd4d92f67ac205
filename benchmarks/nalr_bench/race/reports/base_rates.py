"""How little the base rate matters: what a race came to over base rates, and the rates that were taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from nalr.plotting import style

OURS = "nalr"
OUR_LINES = ("-", "--", "-.")
OTHERS = (*style.COLOURS[1:-1], "0.5")
"""Without our blue, and grey for yellow; seven, so that colour and line style agree for one pair in 28."""
TITLE: dict[str, Any] = {"loc": "left", "fontsize": "medium"}


def plot_base_rates(report: Mapping[str, Any], group: str = "all") -> Figure:
    """Draw the regret of each method over the base rate that it was started from.

    Parameters
    ----------
    report : mapping
        What ``nalr race --json`` prints; of it `standings` is drawn.
    group : str
        Which problems: "tuning", "held-out" or "all".

    Returns
    -------
    matplotlib Figure
        A panel for each optimizer, both axes logarithmic. The regret is the geometric mean over problems,
        1 being the hand-tuned linear decay. Our methods are bold, schedules that need a sweep thin, and
        methods without a base rate level lines. The legend gives each method's score, best first.

    Raises
    ------
    ValueError
        If nothing in the report is of that group.

    Examples
    --------
    >>> method = {"method": "nalr sgd", "optimizer": "sgd", "group": "all", "score": 0.9,
    ...           "tuning_free": True, "profile": [[0.001, 0.9], [0.1, 0.8]]}
    >>> figure = plot_base_rates({"standings": [method]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['nalr sgd: 0.90', 'hand-tuned linear: 1']
    """
    found = [s for s in report["standings"] if s["group"] == group and s["score"] is not None]
    if not found:
        raise ValueError(f"`report` must hold standings of group {group!r} with a score, got none.")
    optimizers = list(dict.fromkeys(s["optimizer"] for s in found))
    figure = style.new_figure(9.0, 0.6 + 4.2 * len(optimizers))
    panels = figure.subplots(len(optimizers), 1, squeeze=False, sharex=True)[:, 0]
    looks = _looks(found)
    for ax, optimizer in zip(panels, optimizers, strict=True):
        methods = sorted((s for s in found if s["optimizer"] == optimizer), key=lambda s: float(s["score"]))
        _draw_methods(ax, methods, looks)
        ax.set_title(f"{optimizer}: final loss against base rate, {_problems(group)}", **TITLE)
        ax.set_ylabel("regret (1 = hand-tuned linear)")
        style.legend_beside(ax, "score over all base rates")
    panels[-1].set_xlabel("base rate b, times the rate natural to the problem")
    return figure


def plot_rates(runs: Mapping[str, Any]) -> Figure:
    """Draw the learning rates that one method took on one problem, from each base rate, and the losses.

    Parameters
    ----------
    runs : mapping
        From `nalr_bench.race.reports.curves.curves`: `problem`, and `runs` with `method`, `factor`,
        `tuned`, `steps`, `losses` and `rates`.

    Returns
    -------
    matplotlib Figure
        The rate over steps, logarithmic, above the full loss over steps, logarithmic if it is positive
        everywhere. Colours go from low to high base rates; the hand-tuned run is black and broken.

    Raises
    ------
    ValueError
        If there are no runs.

    Examples
    --------
    >>> run = {"method": "nalr sgd", "factor": 0.01, "tuned": False,
    ...        "steps": [1, 2], "losses": [3.0, 2.0], "rates": [0.1, 0.2]}
    >>> figure = plot_rates({"problem": "bowl", "runs": [run]})
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['learning rate', 'full loss']
    """
    if not runs["runs"]:
        raise ValueError(f"`runs` must hold a run on {runs['problem']}, got none.")
    figure = style.new_figure(9.0, 6.5)
    rates, losses = figure.subplots(2, 1, sharex=True)
    for run, look in zip(runs["runs"], _shades(runs["runs"]), strict=True):
        rates.plot(run["steps"], _gaps(run["rates"]), label=_name(run), **look)
        losses.plot(run["steps"], _gaps(run["losses"]), **look)
    known = [loss for run in runs["runs"] for loss in run["losses"] if loss is not None]
    rates.set_yscale("log")
    losses.set_yscale("log" if known and min(known) > 0.0 else "linear")
    rates.set_title(f"{runs['runs'][0]['method']} on {runs['problem']}, by base rate b", **TITLE)
    rates.set_ylabel("learning rate")
    losses.set_ylabel("full loss")
    losses.set_xlabel("step")
    for ax in (rates, losses):
        ax.grid(alpha=0.25)
    style.legend_beside(rates)
    return figure


def _draw_methods(
    ax: Axes, methods: Sequence[Mapping[str, Any]], looks: Mapping[str, dict[str, Any]]
) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for method in methods:
        label, look = f"{method['method']}: {_short(method['score'])}", looks[_kind(method)]
        points = [(b, regret) for b, regret in method["profile"] if b is not None and regret is not None]
        if points:
            ax.plot(*zip(*points, strict=True), label=label, **look)
        else:
            ax.axhline(method["score"], label=label, **{**look, "marker": ""})
    ax.axhline(1.0, color=style.BLACK, linewidth=1.0, linestyle=":", label="hand-tuned linear: 1", zorder=1)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.grid(alpha=0.25)


def _looks(methods: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how each kind of method is drawn, in every panel alike: ours in one colour and bold."""
    free = {_kind(method): method["tuning_free"] for method in methods}
    ours = sorted(kind for kind in free if kind.split()[0] == OURS)
    others = [kind for kind in free if kind not in ours]
    looks: dict[str, dict[str, Any]] = {}
    for index, kind in enumerate(ours):
        face = style.BLUE if index == 0 else "white"
        looks[kind] = {"color": style.BLUE, "marker": "o", "markerfacecolor": face, "markersize": 5.0}
        looks[kind] |= {"linestyle": OUR_LINES[index % len(OUR_LINES)], "linewidth": 2.6, "zorder": 3}
    for index, kind in enumerate(others):
        colour = OTHERS[index % len(OTHERS)]
        looks[kind] = {**style.look(index), "color": colour, "markersize": 4.0}
        looks[kind]["linewidth"] = 1.4 if free[kind] else 0.8
    return looks


def _kind(method: Mapping[str, Any]) -> str:
    """Return the name without the optimizer's, if anything is left: "nalr anytime", "linear"."""
    words = method["method"].split()
    return " ".join(word for word in words if word != method["optimizer"]) or words[0]


def _shades(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    count = sum(not run["tuned"] for run in runs)
    shades = iter(colormaps[style.SEQUENTIAL](0.9 * k / max(count - 1, 1)) for k in range(count))
    tuned = {"color": style.BLACK, "linestyle": "--", "linewidth": 1.5, "zorder": 3}
    return [tuned if run["tuned"] else {"color": next(shades), "linewidth": 1.5} for run in runs]


def _name(run: Mapping[str, Any]) -> str:
    factor = "" if run["factor"] is None else f"b = {run['factor']:g}"
    return f"{run['method']}, tuned, {factor}" if run["tuned"] else factor or run["method"]


def _gaps(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _problems(group: str) -> str:
    return "mean over all problems" if group == "all" else f"mean over the problems of group “{group}”"


def _short(score: float) -> str:
    return f"{score:.2f}" if score < 9.995 else f"{score:.0f}"
