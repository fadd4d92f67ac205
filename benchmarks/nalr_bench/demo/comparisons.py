"""The three comparisons of the demo: problems, methods, and how hard the baselines are tuned."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from nalr.landscapes import create_noisy_landscape
from nalr_bench.adaptive import Adaptive
from nalr_bench.parallel import Workers
from nalr_bench.race.problems.digits import DigitsMLP
from nalr_bench.race.problems.problem import LandscapeProblem, Problem
from nalr_bench.runs import Run, Task, execute
from nalr_bench.schedules import Constant, LinearToZero, Rule
from nalr_bench.tuning import Tuned, geometric_grid, geometric_mean, tune

OFF = 100.0  # the factor by which wrong starts are wrong
BUMP_PERIOD = 2.0 * math.pi / 10.0  # of the rugged surface with its default frequency

SMALL = "fixed, 100x too small"
CONSTANT = "fixed, best of grid"
LINEAR = "linear to zero, best of grid"
NALR_SMALL = "nalr, from 100x too small"
NALR_NO_HORIZON = "nalr, same, length unknown"
NALR_LARGE = "nalr, from 100x too large"
TUNED = (CONSTANT, LINEAR)  # by grid search
UNTUNED = (SMALL, NALR_SMALL, NALR_NO_HORIZON, NALR_LARGE)


@dataclass(frozen=True)
class Comparison:
    """A problem with the seeds and the grid of rates it is compared on."""

    problem: Problem
    seeds: tuple[int, ...]
    grid: tuple[float, ...]

    @property
    def num_runs(self) -> int:
        """Number of runs that `compare` makes."""
        examples = len(TUNED) + len(UNTUNED)
        return (len(TUNED) * len(self.grid) + len(UNTUNED)) * len(self.seeds) + examples


@dataclass(frozen=True)
class MethodResult:
    """One method on one problem: a run per seed, and the first seed's again with its curves."""

    rule: Rule
    score: float  # geometric mean of loss + epsilon over the seeds
    runs: tuple[Run, ...]
    example: Run

    @property
    def num_diverged(self) -> int:
        """Number of runs that diverged."""
        return sum(run.diverged for run in self.runs)

    @property
    def solved_share(self) -> float | None:
        """Share of the runs that solved the problem; None where that has no meaning."""
        verdicts = [run.solved for run in self.runs]
        return None if None in verdicts else sum(map(bool, verdicts)) / len(verdicts)

    def mean_metric(self, name: str) -> float | None:
        """Return the mean of a metric over the runs that did not diverge; None if they do not have it."""
        values = [run.metrics[name] for run in self.runs if name in run.metrics]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Outcome:
    """All methods on one problem, by label, in the order of the table."""

    comparison: Comparison
    methods: dict[str, MethodResult]
    tuned: dict[str, Tuned]  # the two grid searches

    def ratio(self, label: str) -> float:
        """Return a method's score over that of the best constant rate: below 1 is better."""
        return self.methods[label].score / self.methods[CONSTANT].score


def comparisons(*, quick: bool = False, seed: int = 0) -> tuple[Comparison, ...]:
    """Return the three comparisons, in the order of the table.

    Parameters
    ----------
    quick : bool
        Fewer seeds and coarser grids, so that the demo takes half a minute; the problems and their lengths
        stay.
    seed : int
        Chooses the seeds of the runs: different numbers share none.
    """
    rates_per_decade = 2 if quick else 8

    def seeds(full: int, few: int) -> tuple[int, ...]:
        return tuple(range(1000 * seed, 1000 * seed + (few if quick else full)))

    return (
        Comparison(rugged(), seeds(50, 10), geometric_grid(1e-3, 1.0, rates_per_decade)),
        Comparison(valley(), seeds(20, 4), geometric_grid(1e-4, 1e-2, rates_per_decade)),
        Comparison(DigitsMLP(batch_size=32), seeds(10, 2), geometric_grid(1e-2, 10.0, rates_per_decade)),
    )


def rugged() -> LandscapeProblem:
    """Return the bowl with divots, started about 4 from the optimum in each coordinate."""
    return LandscapeProblem(
        "rugged",
        "Rugged bowl, 2 parameters",
        create_noisy_landscape(dim=2, noise_scale=0.5, kind="rugged", seed=0),
        batch_size=16,
        num_steps=2000,
        epsilon=1e-3,
        start_distance=4.0,
        basin=0.5 * BUMP_PERIOD,
    )


def valley() -> LandscapeProblem:
    """Return the noisy narrow valley from its customary start."""
    return LandscapeProblem(
        "valley",
        "Narrow curved valley, 2 parameters",
        create_noisy_landscape(dim=2, noise_scale=1.0, kind="rosenbrock", seed=0),
        batch_size=16,
        num_steps=2000,
        epsilon=1e-3,
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
        The same whatever the number of jobs.

    Notes
    -----
    The two baselines take their best rate with hindsight, on the very seeds that they are judged on; that
    is in their favour. The wrong starts are wrong with respect to the best constant rate.
    """
    problem, seeds, grid = comparison.problem, comparison.seeds, comparison.grid
    tuned = {
        CONSTANT: tune(problem, Constant, grid, seeds, workers=workers, progress=progress),
        LINEAR: tune(problem, LinearToZero, grid, seeds, workers=workers, progress=progress),
    }
    best = tuned[CONSTANT].rule.base_lr
    rules: dict[str, Rule] = {
        SMALL: Constant(best / OFF),
        CONSTANT: tuned[CONSTANT].rule,
        LINEAR: tuned[LINEAR].rule,
        NALR_SMALL: Adaptive(best / OFF),
        NALR_NO_HORIZON: Adaptive(best / OFF, horizon=False),
        NALR_LARGE: Adaptive(best * OFF),
    }
    examples = [Task(problem, rule, seeds[0], record=True) for rule in rules.values()]
    tasks = [Task(problem, rules[label], seed) for label in UNTUNED for seed in seeds]
    made = workers.map(execute, examples + tasks, progress)
    example = dict(zip(rules, made[: len(rules)], strict=True))
    rest = iter(made[len(rules) :])
    runs = {label: tuple(next(rest) for _ in seeds) for label in UNTUNED}
    runs |= {label: search.runs for label, search in tuned.items()}
    methods = {
        label: MethodResult(rule, _score(runs[label], problem), runs[label], example[label])
        for label, rule in rules.items()
    }
    return Outcome(comparison, methods, tuned)


def _score(runs: tuple[Run, ...], problem: Problem) -> float:
    return geometric_mean((run.final_loss for run in runs), problem.epsilon)
