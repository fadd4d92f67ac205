"""The three comparisons of the demo: problems, methods, and how hard the baselines are tuned."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from nalr_bench.demo.problems import DIGITS, RUGGED, VALLEY
from nalr_bench.demo.recording import Recorded, record
from nalr_bench.parallel import Workers
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.methods.method import Method
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.schedules import Scheduled
from nalr_bench.race.problems.entry import Entry
from nalr_bench.race.problems.problem import Problem
from nalr_bench.race.scoring.cells import gather
from nalr_bench.race.scoring.tuned import Tuned, tune

OFF = 100.0
"""The factor by which wrong starts are wrong."""

SMALL = "fixed, 100x too small"
CONSTANT = "fixed, best of grid"
LINEAR = "linear to zero, best of grid"
NALR_SMALL = "nalr, from 100x too small"
NALR_NO_HORIZON = "nalr, same, length unknown"
NALR_LARGE = "nalr, from 100x too large"

BASELINES: dict[str, Method] = {
    CONSTANT: Scheduled("sgd", "constant"),
    LINEAR: Scheduled("sgd", "linear"),
}
"""Tuned by a grid search."""
STARTS: dict[str, tuple[Method, float]] = {
    SMALL: (Scheduled("sgd", "constant"), 1.0 / OFF),
    NALR_SMALL: (Nalr("sgd"), 1.0 / OFF),
    NALR_NO_HORIZON: (Nalr("sgd", horizon=False), 1.0 / OFF),
    NALR_LARGE: (Nalr("sgd"), OFF),
}
"""Not tuned: each starts from so many times the best constant rate."""
LABELS = (SMALL, CONSTANT, LINEAR, NALR_SMALL, NALR_NO_HORIZON, NALR_LARGE)
"""The order of the table."""


@dataclass(frozen=True)
class Comparison:
    """A problem with the seeds and the grid of rates that it is compared on."""

    entry: Entry
    seeds: tuple[int, ...]
    grid: tuple[float, ...]
    num_steps: int | None = None

    @cached_property
    def problem(self) -> Problem:
        """The problem itself."""
        return self.entry.make(self.num_steps)

    @property
    def has_accuracy(self) -> bool:
        """Whether the problem has held-out data."""
        return self.entry.family == "learning"

    @property
    def num_runs(self) -> int:
        """Number of runs that `compare` makes."""
        return (len(BASELINES) * len(self.grid) + len(STARTS)) * len(self.seeds) + len(LABELS)

    def starts(self, method: Method, rate: float) -> list[Start]:
        """Return the runs of a method from a rate, one for each seed."""
        return [Start(self.entry, method, rate, seed, self.num_steps) for seed in self.seeds]


@dataclass(frozen=True)
class MethodResult:
    """One method on one problem.

    Attributes
    ----------
    rate : float
        The base rate.
    score : float
        Geometric mean over the seeds of final loss + ε.
    results : tuple of Result
        One for each seed.
    example : Recorded
        The run of the first seed once more, recorded.
    at_edge : bool
        Whether the rate is the best of a grid and its smallest or largest.
    """

    rate: float
    score: float
    results: tuple[Result, ...]
    example: Recorded
    at_edge: bool = False

    @property
    def num_diverged(self) -> int:
        """Number of runs that diverged."""
        return sum(result.diverged for result in self.results)

    @property
    def solved_share(self) -> float | None:
        """Share of the runs that solved the problem; None where that has no meaning."""
        verdicts = [result.solved for result in self.results]
        return None if None in verdicts else sum(map(bool, verdicts)) / len(verdicts)

    @property
    def accuracies(self) -> list[float]:
        """Held-out accuracy of each run, 0 if it diverged; meaningless where the problem has none."""
        return [(result.metrics or {}).get("test_accuracy", 0.0) for result in self.results]


@dataclass(frozen=True)
class Outcome:
    """All methods on one problem, by label, in the order of the table."""

    comparison: Comparison
    methods: dict[str, MethodResult]

    def ratio(self, label: str) -> float:
        """Return a method's score over that of the best constant rate: below 1 is better."""
        return self.methods[label].score / self.methods[CONSTANT].score


def geometric_grid(low: float, high: float, per_decade: int) -> tuple[float, ...]:
    """Return rates from `low` to `high` with `per_decade` equal factors to a decade.

    Examples
    --------
    >>> [float(f"{rate:.3g}") for rate in geometric_grid(0.01, 1.0, per_decade=2)]
    [0.01, 0.0316, 0.1, 0.316, 1.0]
    """
    count = round(per_decade * math.log10(high / low))
    return tuple(low * 10.0 ** (k / per_decade) for k in range(count + 1))


def comparisons(*, quick: bool = False, seed: int = 0) -> tuple[Comparison, ...]:
    """Return the three comparisons, in the order of the table.

    Parameters
    ----------
    quick : bool
        Fewer seeds and coarser grids, so that the demo takes about a minute; the problems and their lengths
        stay.
    seed : int
        Chooses the seeds of the runs: different numbers share none.
    """
    per_decade = 2 if quick else 3  # over two decades each, with every best rate inside

    def seeds(full: int, few: int) -> tuple[int, ...]:
        return tuple(range(1000 * seed, 1000 * seed + (few if quick else full)))

    return (
        Comparison(RUGGED, seeds(24, 6), geometric_grid(1e-2, 1.0, per_decade)),
        Comparison(VALLEY, seeds(12, 3), geometric_grid(1e-4, 1e-2, per_decade)),
        Comparison(DIGITS, seeds(8, 2), geometric_grid(0.1, 10.0, per_decade)),
    )


def compare(
    comparison: Comparison, workers: Workers, progress: Callable[[], object] | None = None
) -> Outcome:
    """Tune the baselines, then run every method on the same seeds.

    Parameters
    ----------
    comparison : Comparison
        What to compare on.
    workers : Workers
        Where the runs are made.
    progress : callable, optional
        Called as each of `comparison.num_runs` runs is done.

    Returns
    -------
    Outcome
        The same for any number of jobs.

    Notes
    -----
    The two baselines get the rate that is best on the very seeds that they are judged on, which favours
    them. The wrong starts are wrong relative to the best constant rate.
    """
    results: dict[Key, Result] = {}

    def make(starts: list[Start]) -> None:
        made = workers.map(run, starts, progress)
        results.update({start.key: result for start, result in zip(starts, made, strict=True)})

    make(
        [
            start
            for method in BASELINES.values()
            for rate in comparison.grid
            for start in comparison.starts(method, rate)
        ]
    )
    tuned = {label: _tuned(comparison, method, results) for label, method in BASELINES.items()}
    chosen = {label: (method, tuned[label].factor) for label, method in BASELINES.items()}
    best = tuned[CONSTANT].factor
    chosen |= {label: (method, best * factor) for label, (method, factor) in STARTS.items()}
    make([start for label in STARTS for start in comparison.starts(*chosen[label])])
    firsts = [comparison.starts(*chosen[label])[0] for label in LABELS]
    examples = workers.map(record, firsts, progress)
    methods = {}
    for label, example in zip(LABELS, examples, strict=True):
        method, rate = chosen[label]
        own = tuple(results[start.key] for start in comparison.starts(method, rate))
        at_edge = label in tuned and tuned[label].at_edge
        methods[label] = MethodResult(rate, score(own, comparison.problem.epsilon), own, example, at_edge)
    return Outcome(comparison, methods)


def score(results: tuple[Result, ...], epsilon: float) -> float:
    """Return the geometric mean of final loss + `epsilon`; inf if a run diverged."""
    losses = [result.final_loss + epsilon for result in results]
    return math.exp(math.fsum(map(math.log, losses)) / len(losses))


def _tuned(comparison: Comparison, method: Method, results: dict[Key, Result]) -> Tuned:
    """Return the best rate of a grid search."""
    name = comparison.entry.name
    runs = gather(results, {name: comparison.problem.epsilon})
    return tune([name], method.name, runs.get(method.name))[0][0]
