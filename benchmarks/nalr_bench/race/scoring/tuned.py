"""What a sweep would have found: the best factor of a schedule on each problem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.scoring.cells import Runs, mean

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tuned:
    """A schedule on one problem at the factor that was best there.

    Attributes
    ----------
    problem, method : str
        Names of both.
    factor : float
        The factor with the smallest geometric mean over seeds of final loss + ε, a diverged run counting as
        infinite; nan where every factor diverged for some seed or nothing was run.
    loss : float
        That mean: what regret 1 stands for.
    at_edge : bool
        Whether no smaller or no larger factor was tried, so that a wider sweep might have found a better one.
    """

    problem: str
    method: str
    factor: float
    loss: float
    at_edge: bool


def tune(problems: list[str], method: str, runs: Runs | None) -> tuple[list[Tuned], Array]:
    """Return the best of `method` on each problem, and the log losses (P, S) there, nan where it has none.

    Examples
    --------
    >>> losses = np.log([[[4.0, 9.0], [2.0, 2.0], [1.0, 9.0]]])  # one problem, three factors, two seeds
    >>> found, _ = tune(["bowl"], "sgd linear", Runs((0.1, 1.0, 10.0), *[losses] * 4, {}))
    >>> found[0].factor, round(found[0].loss, 6), found[0].at_edge
    (1.0, 2.0, False)
    """
    if runs is None:
        nothing = [Tuned(problem, method, math.nan, math.nan, False) for problem in problems]
        return nothing, np.full((len(problems), 1), math.nan)
    averages = mean(runs.losses, 1.0, axis=2)  # (P, F)
    averages[~np.isfinite(averages)] = math.inf
    best = averages.argmin(axis=1)
    losses = np.take_along_axis(runs.losses, best[:, None, None], axis=1)[:, 0]
    found = []
    for p, (problem, column) in enumerate(zip(problems, best.tolist(), strict=True)):
        level = float(averages[p, column])
        if math.isinf(level):
            losses[p] = math.nan
            found.append(Tuned(problem, method, math.nan, math.nan, False))
        else:
            edge = column in (0, len(runs.factors) - 1)
            found.append(Tuned(problem, method, runs.factors[column], math.exp(level), edge))
    return found, losses
