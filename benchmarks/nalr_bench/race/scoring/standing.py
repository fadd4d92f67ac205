"""What is said of a method when the race is run: one record for each group of problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """The mean over seeds of a method's regret on a problem, from a factor; nan if it takes no rate."""

    regret: float
    problem: str
    factor: float


@dataclass(frozen=True)
class Standing:
    """How one method did on one group of problems. Numbers are nan where there is nothing to take them from.

    The regret of a run is (final loss + ε) over the same of the optimizer's linear decay at the factor best
    on the problem, clipped to [0.01, 1000]; a diverged run has 1000. Means of regrets are geometric.

    Attributes
    ----------
    method, optimizer : str
        The method, and whose tuned schedule it is held to.
    takes_rate, tuning_free : bool
        As in `Method`.
    group : str
        "tuning", "held-out" or "all".
    score : float
        Mean regret over the cells (problem, factor), each the mean over seeds; factors 10⁻⁴ to 1, nothing
        tuned.
    low, high : float
        Its 95 % interval from resampling the seeds of each problem, the same ones for method and reference;
        nan with one seed. The reference is averaged anew each time but keeps its factor: chosen anew, it
        would be better than it is. The problems are taken as given, not as a sample.
    score_constant : float
        The score against the best constant rate instead.
    worst : Cell or None
        The cell with the largest regret.
    diverged, diverged_extreme : float
        Share of runs that diverged, from the factors of the score and from factor 10.
    steps : float
        Median over runs of the steps to a full loss + ε of 1.1 × the tuned one; inf for runs that never do.
    escape : float
        Share of runs solved, on those rugged problems that a constant rate of any factor solved once.
    num_cells, expected : int
        Cells with a run and a reference, and cells of a complete race.
    profile : tuple of (float, float)
        Each factor that was run, also those beyond the score, and the mean regret over problems there.
    problems : dict
        Mean regret over the score's factors on each problem.
    """

    method: str
    optimizer: str
    takes_rate: bool
    tuning_free: bool
    group: str
    score: float
    low: float
    high: float
    score_constant: float
    worst: Cell | None
    diverged: float
    diverged_extreme: float
    steps: float
    escape: float
    num_cells: int
    expected: int
    profile: tuple[tuple[float, float], ...]
    problems: Mapping[str, float]
