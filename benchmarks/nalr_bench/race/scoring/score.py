"""How the methods of a race stand: their regret against a hand-tuned schedule, and what is behind it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.engine.plan import EXTREME, REFERENCES, SCORED
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.methods.method import PROBLEM
from nalr_bench.race.problems.entry import GROUPS, Entry
from nalr_bench.race.scoring.cells import Runs, gather, log_regrets, mean
from nalr_bench.race.scoring.standing import Cell, Standing
from nalr_bench.race.scoring.tuned import Tuned, tune

Array = NDArray[np.float64]

ALL = "all"
REACHED = 1.1
"""Steps are counted to a loss of this many times the tuned one."""
NUM_RESAMPLES = 1000


class Facts(Protocol):
    """What the score has to know of a method; see `Method`."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def optimizer(self) -> str: ...  # noqa: D102

    @property
    def takes_rate(self) -> bool: ...  # noqa: D102

    @property
    def tuning_free(self) -> bool: ...  # noqa: D102


class Score:
    """A race's results, ready to be judged.

    Parameters
    ----------
    results : mapping of Key to Result
        What was run; the race need not be complete.
    entries : sequence of Entry
        The problems that count.
    epsilons : mapping
        ε of each problem, by the entry's name.
    methods : sequence of Method
        The methods that count. Those without results are left out.
    """

    def __init__(
        self,
        results: Mapping[Key, Result],
        entries: Sequence[Entry],
        epsilons: Mapping[str, float],
        methods: Iterable[Facts],
    ) -> None:
        self._entries = list(entries)
        self._problems = [entry.name for entry in entries]
        self._epsilons = {name: epsilons[name] for name in self._problems}
        self._runs = gather(results, self._epsilons)
        self._methods = [facts for facts in methods if facts.name in self._runs]
        self._num_seeds = next((runs.losses.shape[2] for runs in self._runs.values()), 1)
        evenly = np.full(self._num_seeds, 1.0 / self._num_seeds)
        size = NUM_RESAMPLES, len(self._entries)
        draws = np.random.default_rng(0).multinomial(self._num_seeds, evenly, size=size)
        # How often each seed counts (R, P, S); the first time all once, which gives the score itself.
        self._weights = np.concatenate([np.ones((1, *draws.shape[1:])), draws])
        self._tuned: dict[str, tuple[list[Tuned], Array]] = {}

    def tuned(self) -> list[Tuned]:
        """Return what each optimizer's schedules were tuned to, problem by problem."""
        optimizers = dict.fromkeys(facts.optimizer for facts in self._methods)
        schedules = (f"{name} {schedule}" for name in optimizers for schedule in REFERENCES[PROBLEM])
        return [each for schedule in schedules for each in self._tune(schedule)[0]]

    def standings(self) -> list[Standing]:
        """Return how each method stands in each group that has problems, in the methods' order."""
        groups = [group for group in (*GROUPS, ALL) if self._members(group).any()]
        return [standing for facts in self._methods for standing in self._stand(facts, groups)]

    def _stand(self, facts: Facts, groups: Sequence[str]) -> Iterator[Standing]:
        runs = self._runs[facts.name]
        scored, extreme = runs.columns(SCORED), [] if not facts.takes_rate else runs.columns([EXTREME])
        linear, constant = f"{facts.optimizer} linear", f"{facts.optimizer} constant"
        cells = self._cells(runs.losses[:, scored], linear, self._weights)  # (R, P, F)
        against_constant = self._cells(runs.losses[:, scored], constant, self._weights[:1])[0]
        everywhere = self._cells(runs.losses, linear, self._weights[:1])[0]
        steps, solved = self._steps(runs, scored, linear), self._solved(runs, scored, constant)
        for group in groups:
            members = self._members(group)
            mine = cells[:, members]
            names = [name for name, member in zip(self._problems, members, strict=True) if member]
            scores = np.exp(mean(mine, 1.0, axis=(1, 2)))
            low, high = _interval(scores[1:]) if self._num_seeds > 1 else (math.nan, math.nan)
            yield Standing(
                method=facts.name,
                optimizer=facts.optimizer,
                takes_rate=facts.takes_rate,
                tuning_free=facts.tuning_free,
                group=group,
                score=float(scores[0]),
                low=low,
                high=high,
                score_constant=float(np.exp(mean(against_constant[members], 1.0, axis=(0, 1)))),
                worst=self._worst(cells[0], members, [runs.factors[f] for f in scored]),
                diverged=_share(runs.diverged[members][:, scored]),
                diverged_extreme=_share(runs.diverged[members][:, extreme]),
                steps=_median(steps[members]),
                escape=_share(solved[members]),
                num_cells=int((~np.isnan(mine[0])).sum()),
                expected=int(members.sum()) * (len(SCORED) if facts.takes_rate else 1),
                profile=tuple(zip(runs.factors, _means(everywhere[members], 0), strict=True)),
                problems=dict(zip(names, _means(mine[0], 1), strict=True)),
            )

    def _tune(self, schedule: str) -> tuple[list[Tuned], Array]:
        if schedule not in self._tuned:
            self._tuned[schedule] = tune(self._problems, schedule, self._runs.get(schedule))
        return self._tuned[schedule]

    def _members(self, group: str) -> NDArray[np.bool_]:
        """Return which problems (P,) are of `group`."""
        return np.array([group in (ALL, entry.group) for entry in self._entries], dtype=bool)

    def _cells(self, losses: Array, schedule: str, weights: Array) -> Array:
        """Return the log regrets (R, P, F) of `losses` (P, F, S) for each of the weights (R, P, S)."""
        reference = mean(self._tune(schedule)[1], weights, axis=2)
        return mean(log_regrets(losses, reference), weights[:, :, None], axis=3)

    def _worst(self, cells: Array, members: NDArray[np.bool_], factors: Sequence[float]) -> Cell | None:
        own = np.where(members[:, None] & ~np.isnan(cells), cells, -math.inf)
        if not np.isfinite(own).any():
            return None
        p, f = np.unravel_index(own.argmax(), own.shape)
        return Cell(math.exp(own[p, f]), self._problems[int(p)], factors[int(f)])

    def _steps(self, runs: Runs, scored: Sequence[int], schedule: str) -> Array:
        """Return the steps (P, F, S) to a loss within reach of the tuned one; inf for never."""
        steps = np.full_like(runs.losses, math.nan)
        tuned = self._tune(schedule)[0]
        for (p, f, s), result in runs.results.items():
            goal = REACHED * tuned[p].loss - self._epsilons[self._problems[p]]
            reached = (step for step, loss in zip(result.steps, result.losses, strict=True) if loss <= goal)
            steps[p, f, s] = math.nan if math.isnan(goal) else next(reached, math.inf)
        return steps[:, scored]

    def _solved(self, runs: Runs, scored: Sequence[int], schedule: str) -> Array:
        """Return what of the rugged problems was solved (P, F, S); nan where a constant rate never did."""
        solved = runs.solved[:, scored].copy()
        reference = self._runs.get(schedule)
        for p, entry in enumerate(self._entries):
            if not entry.judged_escape or reference is None or not (reference.solved[p] == 1.0).any():
                solved[p] = math.nan
        return solved


def _interval(scores: Array) -> tuple[float, float]:
    known = scores[~np.isnan(scores)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (math.nan, math.nan)
    return float(low), float(high)


def _means(logs: Array, axis: int) -> list[float]:
    """Return geometric means from logarithms."""
    return [math.exp(value) for value in mean(logs, 1.0, axis=axis)]


def _share(flags: Array) -> float:
    return float(mean(flags.ravel(), 1.0, axis=0))


def _median(values: Array) -> float:
    """Return the median, infinities included; never between a number and infinity."""
    known = np.sort(values[~np.isnan(values)])
    return float(known[known.size // 2]) if known.size else math.nan
