"""Figures in windows, where there is a display: the only part of the demo that needs pyplot."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

WITHOUT_WINDOWS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")


def available() -> bool:
    """Return whether matplotlib has a backend with windows here; without a display it falls back to agg."""
    from matplotlib import pyplot

    return pyplot.get_backend().lower() not in WITHOUT_WINDOWS


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of that size in inches that has a window, not yet shown."""
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width, height), layout="constrained")


def show() -> None:
    """Show all figures that have a window, until they are closed."""
    from matplotlib import pyplot

    pyplot.show()


def show_panel(make_panel: Callable[[Figure], object]) -> None:
    """Show a window with what `make_panel` puts into its figure, until it is closed."""
    from matplotlib import pyplot

    panel = make_panel(pyplot.figure())
    pyplot.show()
    del panel  # held until here: matplotlib keeps no reference to widgets
