"""A plot of the kernels' throughput over the number of parameters, against the memory bandwidth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nalr.plotting import style

OURS = "nalr"
RIVALS: dict[str, dict[str, Any]] = {
    "NumPy": {"color": style.VERMILLION, "linestyle": "--", "marker": "X"},
    "torch": {"color": style.GREEN, "linestyle": "-.", "marker": "P"},
}


def plot_roofline(results: Mapping[str, Any], ax: Axes | None = None) -> Figure:
    """Draw GB/s over D for rows (B, D) to their sums, and the memory bandwidth.

    Parameters
    ----------
    results : mapping
        The output of ``nalr bench --json``, of which the group "batch" is drawn.
    ax : matplotlib Axes, optional
        Where to draw; by default in a new figure, unknown to pyplot.

    Returns
    -------
    matplotlib Figure
        A line for each B on all threads; NumPy and torch at the middle B. Above the line of the memory,
        rows fit in the caches.

    Raises
    ------
    ValueError
        If no batch was measured.

    Examples
    --------
    >>> row = {"group": "batch", "work": "moments", "rows": 4, "dimension": 1000, "threads": 1,
    ...        "gigabytes_per_second": {"nalr": 9.0, "NumPy": 1.0}}
    >>> figure = plot_roofline({"machine": {"bandwidth": {"1": 12.0}}, "results": [row]})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['nalr, B = 4', 'NumPy, B = 4', 'memory, 12 GB/s']
    """
    found = [r for r in results["results"] if r["group"] == "batch" and r["work"] == "moments"]
    if not found:
        raise ValueError("`results` must hold a batch, got none.")
    threads = max(r["threads"] for r in found)
    found = sorted((r for r in found if r["threads"] == threads), key=lambda r: r["dimension"])
    if ax is None:
        ax = style.new_figure(8.0, 4.5).add_subplot()
    ax.set_xscale("log")
    ax.set_yscale("log")
    for label, points, look in _lines(found):
        ax.plot(*zip(*points, strict=True), label=label, **look)
    speed = results["machine"]["bandwidth"].get(str(threads))
    if speed is not None:
        ax.axhline(speed, color=style.BLACK, linewidth=1.2, linestyle=":", label=f"memory, {speed:.0f} GB/s")
    plural = "s" if threads > 1 else ""
    title = f"B gradients to their mean and variance, float32, {threads} thread{plural}"
    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_xlabel("parameters D")
    ax.set_ylabel("gradients read (GB/s)")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.grid(alpha=0.25)
    style.legend_beside(ax)
    return ax.figure.figure  # the whole figure also where the axes are in a subfigure


def _lines(found: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[int, float]], dict[str, Any]]]:
    """Yield label, points and look of each line that has points."""
    counts = sorted({r["rows"] for r in found})
    middle = counts[len(counts) // 2]
    wanted = [
        (
            OURS,
            count,
            {"color": style.BLUE, "marker": style.MARKERS[k % len(style.MARKERS)], "linewidth": 1.8},
        )
        for k, count in enumerate(counts)
    ]
    wanted += [(rival, middle, look) for rival, look in RIVALS.items()]
    for name, count, look in wanted:
        points = [
            (r["dimension"], r["gigabytes_per_second"][name])
            for r in found
            if r["rows"] == count and name in r["gigabytes_per_second"]
        ]
        if points:
            yield f"{name}, B = {count}", points, look
