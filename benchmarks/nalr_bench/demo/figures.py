"""The demo's pictures: the rugged surface with the ways over it, and the curves of every problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nalr.plotting import plot_training_curves, visualize_landscape
from nalr_bench.demo.comparisons import CONSTANT, NALR_SMALL, SMALL, Outcome
from nalr_bench.demo.problems import BUMP_PERIOD
from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import RUNAWAY
from nalr_bench.race.problems.problem import LandscapeProblem

Array = NDArray[np.float64]
NewFigure = Callable[[float, float], Figure]
REACH = 5.4  # half the side of the drawn square: the starts are within 4.8
WIDTH = 0.5 * BUMP_PERIOD  # of the smoothing
SPACING = 1.02  # least ratio of neighbouring steps in a curve


def plain_figure(width: float, height: float) -> Figure:
    """Return a figure of that size in inches that pyplot does not know of."""
    return Figure(figsize=(width, height), layout="constrained")


def draw_all(outcomes: Sequence[Outcome], new_figure: NewFigure = plain_figure) -> dict[str, Figure]:
    """Return the demo's figures by name.

    Parameters
    ----------
    outcomes : sequence of Outcome
        What was measured, one for each problem.
    new_figure : callable
        Makes an empty figure of a width and height in inches.

    Returns
    -------
    dict of str to Figure
        The surface and the adaptive run on it for each problem with bumps, and curves for every problem.
    """
    figures: dict[str, Figure] = {}
    for outcome in outcomes:
        problem = outcome.comparison.problem
        if isinstance(problem, LandscapeProblem) and problem.basin is not None:
            figures[f"{problem.name}-surface"] = draw_surface(outcome, problem, new_figure(15.0, 9.6))
            figures[f"{problem.name}-nalr"] = draw_adaptation(outcome, new_figure(9.0, 7.0))
        figures[f"{problem.name}-curves"] = draw_curves(outcome, new_figure(10.0, 6.4))
    return figures


def draw_surface(outcome: Outcome, problem: LandscapeProblem, figure: Figure) -> Figure:
    """Draw the surface, what is left of it at the scale of its bumps, and below the ways of three methods."""
    (raw, smooth, cut), ways = figure.subplots(2, 3)
    landscape = problem.landscape
    shown: dict[str, Any] = {"bounds": (-REACH, REACH), "resolution": 301}
    visualize_landscape(landscape, ax=raw, **shown)
    raw.set_title("The loss: a bowl full of local minima")
    visualize_landscape(landscape, ax=smooth, smoothing=WIDTH, **shown)
    smooth.set_title(f"Smoothed over a width of {WIDTH:.2f}, half a bump")
    _draw_cut(cut, problem)
    for ax, label in zip(ways, (SMALL, CONSTANT, NALR_SMALL), strict=True):
        path = outcome.methods[label].example.path
        paths = {} if path is None else {label: path}
        visualize_landscape(landscape, paths, colorbar=False, ax=ax, **shown)
        for line in ax.lines:  # two thousand steps on top of each other, too many for the usual width
            line.set_linewidth(0.9)
        ax.set_title(f"{label}\nends at loss {outcome.methods[label].example.result.final_loss:.2g}")
    for ax in (raw, smooth, *ways):
        ax.set_aspect("equal")
    return figure


def draw_curves(outcome: Outcome, figure: Figure) -> Figure:
    """Draw full loss and learning rate of every method, on the first seed."""
    problem, seed = outcome.comparison.problem, outcome.comparison.seeds[0]
    axes = figure.subplots(2, 1, sharex=True, height_ratios=(3.0, 2.0))
    runs = {label: _columns(method.example.result) for label, method in outcome.methods.items()}
    plot_training_curves(runs, axes=axes, log_loss=True)
    legend = axes[0].get_legend()
    for line in (*axes[0].lines, *(legend.get_lines() if legend else ())):
        line.set_linewidth(1.6)
    axes[0].set_title(f"{problem.title}: full loss, seed {seed}", loc="left", fontsize="medium")
    axes[0].set_ylabel("full loss")
    return figure


def draw_adaptation(outcome: Outcome, figure: Figure) -> Figure:
    """Draw what nalr saw and did when it was started too small: loss, rate with its reasons, noise."""
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(3.0, 2.0, 2.0))
    plot_training_curves(outcome.methods[NALR_SMALL].example.history, axes=axes)
    figure.suptitle(f"{outcome.comparison.problem.title}: {NALR_SMALL}")
    return figure


def drawable(losses: Array) -> Array:
    """Return full losses (K,) for a logarithmic axis: nan where they are not positive, or ran away."""
    shown = (losses > 0.0) & (losses < RUNAWAY * losses[:1])
    return np.where(shown, losses, np.nan)


def _draw_cut(ax: Axes, problem: LandscapeProblem) -> None:
    """Draw the loss and its smooth along the first parameter, the others at the optimum."""
    first = np.linspace(-REACH, REACH, 1001)
    points = np.tile(problem.landscape.optimum, (first.size, 1))
    points[:, 0] = first
    ax.plot(first, problem.landscape.true_loss(points), color="#0072B2", label="true loss")
    ax.plot(
        first,
        problem.landscape.smoothed_loss(points, WIDTH),
        color="#D55E00",
        linestyle="--",
        linewidth=2.0,
        label="smoothed",
    )
    ax.set_title("A cut through the optimum")
    ax.set_xlabel("parameter 1")
    ax.set_ylabel("loss")
    ax.set_xlim(-REACH, REACH)
    ax.legend(frameon=False, loc="upper center")


def _columns(result: Result) -> dict[str, Any]:
    """Return steps, full losses and rates at the checkpoints, without the dense ones of the final loss."""
    shown: list[int] = []
    for index, step in enumerate(result.steps):
        if not shown or step >= SPACING * result.steps[shown[-1]]:
            shown.append(index)
    losses, rates = drawable(np.array(result.losses)), np.array(result.rates)
    return {"step": np.array(result.steps)[shown], "loss": losses[shown], "lr": rates[shown]}
