"""The best rate of a rule by grid search: how hard the baselines are tuned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nalr import _checks
from nalr_bench.parallel import Workers
from nalr_bench.race.problems.problem import Problem
from nalr_bench.runs import Run, Task, execute
from nalr_bench.schedules import Rule


@dataclass(frozen=True)
class Tuned:
    """What a grid search found.

    Attributes
    ----------
    rule : Rule
        The rule at its best rate.
    score : float
        Its geometric mean of loss + epsilon over the seeds.
    scores : tuple of (float, float)
        Rate and score of every point of the grid, in its order.
    runs : tuple of Run
        The runs of the best rate, one per seed, without curves.
    """

    rule: Rule
    score: float
    scores: tuple[tuple[float, float], ...]
    runs: tuple[Run, ...]

    @property
    def at_edge(self) -> bool:
        """Whether the best rate is the grid's smallest or largest: a wider grid might hold a better one."""
        return self.rule.base_lr in (self.scores[0][0], self.scores[-1][0])


def geometric_grid(low: float, high: float, per_decade: int) -> tuple[float, ...]:
    """Return rates from `low` to `high` with `per_decade` equal factors to a decade.

    Parameters
    ----------
    low, high : float
        First and last rate, positive, a whole number of those factors apart.
    per_decade : int
        Rates per factor of ten, at least 1.

    Raises
    ------
    ValueError
        If the grid would miss `high`.

    Examples
    --------
    >>> [float(f"{rate:.3g}") for rate in geometric_grid(0.01, 1.0, per_decade=2)]
    [0.01, 0.0316, 0.1, 0.316, 1.0]
    """
    first, last = _checks.positive("low", low), _checks.positive("high", high)
    steps = _checks.count("per_decade", per_decade, 1) * math.log10(last / first)
    if steps < 0.0 or abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            f"`high` must be a whole number of factors 10^(1/{per_decade}) above {low!r}, got {high!r}."
        )
    return tuple(first * 10.0 ** (k / per_decade) for k in range(round(steps) + 1))


def geometric_mean(losses: Iterable[float], epsilon: float) -> float:
    """Return the geometric mean of loss + epsilon; inf if a loss is.

    Parameters
    ----------
    losses : iterable of float
        Losses above -epsilon.
    epsilon : float
        Keeps one lucky zero from deciding the mean; positive.

    Examples
    --------
    >>> print(f"{geometric_mean([0.009, 0.999], epsilon=0.001):.3f}")
    0.100
    """
    return float(np.exp(np.mean(np.log(np.array(list(losses)) + epsilon))))


def tune(
    problem: Problem,
    make_rule: Callable[[float], Rule],
    grid: Sequence[float],
    seeds: Sequence[int],
    *,
    workers: Workers,
    progress: Callable[[], object] | None = None,
) -> Tuned:
    """Run `make_rule(rate)` for every rate and seed and keep the rate with the lowest score.

    Parameters
    ----------
    problem : Problem
        What to train.
    make_rule : callable
        Rate to rule, `Constant` for example.
    grid : sequence of float
        Rates to try, in ascending order.
    seeds : sequence of int
        Seeds of the runs, the same for every rate.
    workers : Workers
        Where the runs are made.
    progress : callable, optional
        Called without arguments as each of the len(grid)·len(seeds) runs is done.

    Returns
    -------
    Tuned
        The same whatever the number of jobs; of equal scores the smallest rate wins.
    """
    rules = [make_rule(rate) for rate in grid]
    tasks = [Task(problem, rule, seed) for rule in rules for seed in seeds]
    runs = workers.map(execute, tasks, progress)
    by_rule = [tuple(runs[k * len(seeds) : (k + 1) * len(seeds)]) for k in range(len(rules))]
    scores = [geometric_mean((run.final_loss for run in group), problem.epsilon) for group in by_rule]
    best = int(np.argmin(scores))
    return Tuned(rules[best], scores[best], tuple(zip(grid, scores, strict=True)), by_rule[best])
