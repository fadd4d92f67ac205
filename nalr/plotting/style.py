"""Colours, markers and legends of all plots."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008), distinguishable with any colour vision. Yellow is last, being faint on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, YELLOW = "#E69F00", "#56B4E9", "#000000", "#F0E442"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
# Eight colours, seven markers, four lines: the first 56 items differ in more than colour.
MARKERS = ("s", "^", "D", "v", "P", "X", "h")
LINES = ("-", "--", "-.", ":")
SEQUENTIAL = "viridis"


def look(index: int) -> dict[str, Any]:
    """Return colour, line style and marker of the `index`-th item of a plot."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of that size in inches, unknown to pyplot."""
    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def legend_below(ax: Axes) -> None:
    """Put the legend under the x label, where it covers no data; "best" may be slow."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        # About 80 letters fit under the axes, and a handle with its gaps takes the room of 9. Wider than the
        # axes, the legend would squeeze them.
        columns = max(1, min(len(handles), 4, 80 // (9 + max(map(len, labels)))))
        ax.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            borderaxespad=4.2,  # font sizes: tick labels and the x label lie between
            ncols=columns,
            frameon=False,
            fontsize="small",
        )


def legend_beside(ax: Axes, title: str | None = None) -> None:
    """Put the legend to the right of the panel, where it covers no data."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            handles,
            labels,
            title=title,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            fontsize="small",
            title_fontsize="small",
            alignment="left",
        )
