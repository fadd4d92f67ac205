"""Final losses of a race on tasks over the base rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from nalr.plotting import style

OTHERS = (*style.COLOURS[1:-1], "0.5")
"""Without our blue, and grey for yellow."""
OUR_LINES = ("-", "--", "-.")
TOP = 10.0
"""Larger ratios are drawn here, and runs that diverged as crosses a little above."""


def plot_training_runs(report: Mapping[str, Any]) -> Figure:
    """Draw each method's final loss, over that of the hand-tuned linear decay, over the base rate.

    Parameters
    ----------
    report : mapping
        What ``nalr race --task ... --json`` prints; of it `tables` and `target` are drawn.

    Returns
    -------
    matplotlib Figure
        A panel for each task and optimizer, both axes logarithmic. Our methods are bold and blue, schedules
        that need a sweep thin, methods without a base rate level lines; crosses at the top are base rates
        from which some seed diverged.

    Raises
    ------
    ValueError
        If there are no tables.

    Examples
    --------
    >>> row = {"method": "nalr adamw", "ours": True, "takes_rate": True, "tuning_free": True,
    ...        "cells": [{"lr": 0.001, "ratio": 1.02, "diverged": 0},
    ...                  {"lr": 0.1, "ratio": None, "diverged": 3}]}
    >>> table = {"title": "Transformer", "optimizer": "adamw", "rows": [row]}
    >>> figure = plot_training_runs({"tables": [table], "target": 1.1})
    >>> [line.get_label() for line in figure.axes[0].lines if line.get_label()[0] != "_"]
    ['nalr', 'hand-tuned linear: 1', 'target: 1.1']
    """
    tables = report["tables"]
    if not tables:
        raise ValueError("`report` must hold tables, got none.")
    figure = style.new_figure(9.0, 0.6 + 3.4 * len(tables))
    looks = _looks(tables)
    for ax, table in zip(figure.subplots(len(tables), 1, squeeze=False)[:, 0], tables, strict=True):
        ax.set_xscale("log")
        ax.set_yscale("log")
        for row in table["rows"]:
            _draw(ax, row, _kind(row, table), looks)
        ax.axhline(1.0, color=style.BLACK, linewidth=1.0, linestyle=":", label="hand-tuned linear: 1")
        ax.axhline(report["target"], color="0.6", linewidth=1.0, label=f"target: {report['target']:g}")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 5.5 else ""))
        ax.set_title(f"{table['title']}, {table['optimizer']}", loc="left", fontsize="medium")
        ax.set_xlabel("base rate")
        ax.set_ylabel("final loss ÷ hand-tuned")
        ax.grid(alpha=0.25)
        style.legend_beside(ax)
    return figure


def _draw(ax: Axes, row: Mapping[str, Any], kind: str, looks: Mapping[str, dict[str, Any]]) -> None:
    look = looks[kind]
    points = [(cell["lr"], min(cell["ratio"], TOP)) for cell in row["cells"] if cell["ratio"] is not None]
    if points and not row["takes_rate"]:
        look = {**look, "marker": ""}
    ax.plot([lr for lr, _ in points], [ratio for _, ratio in points], label=kind, **look)
    diverged = [cell["lr"] for cell in row["cells"] if cell["diverged"]]
    if diverged:
        ax.plot(diverged, [1.15 * TOP] * len(diverged), "x", color=look["color"], markersize=7.0)


def _looks(tables: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return how each kind of method is drawn, in every panel alike."""
    rows = {_kind(row, table): row for table in tables for row in table["rows"]}
    looks: dict[str, dict[str, Any]] = {}
    for index, kind in enumerate(kind for kind, row in rows.items() if row["ours"]):
        face = style.BLUE if index == 0 else "white"
        looks[kind] = {"color": style.BLUE, "marker": "o", "markerfacecolor": face, "markersize": 5.0}
        looks[kind] |= {"linestyle": OUR_LINES[index % len(OUR_LINES)], "linewidth": 2.6, "zorder": 3}
    for index, kind in enumerate(kind for kind, row in rows.items() if not row["ours"]):
        width = 1.4 if rows[kind]["tuning_free"] else 0.8
        looks[kind] = {**style.look(index), "color": OTHERS[index % len(OTHERS)], "markersize": 4.0}
        looks[kind]["linewidth"] = width
    return looks


def _kind(row: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """Return the method's name without the optimizer's: "nalr anytime", "linear"."""
    words = row["method"].split()
    return " ".join(word for word in words if word != table["optimizer"])
