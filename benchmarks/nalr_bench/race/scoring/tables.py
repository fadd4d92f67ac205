"""The scores of tasks base rate by base rate: a table for each task and optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.engine.plan import SCORED
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.methods.method import Method
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.scoring.cells import Runs, gather, mean
from nalr_bench.race.scoring.tuned import Tuned, tune
from nalr_bench.race.tasks.task import Task

Array = NDArray[np.float64]

REFERENCE = "linear"
"""The schedule whose best rate gives ratio 1."""


@dataclass(frozen=True)
class RateCell:
    """A method from one base rate.

    Attributes
    ----------
    ratio : float
        Final loss + ε over that of the hand-tuned linear decay, geometric mean over seeds; inf if one
        diverged, nan if nothing was run.
    held_out : float
        The same of the held-out loss, the reference at the rate that is best for the final loss.
    diverged, seeds : int
        How many diverged, of how many.
    """

    ratio: float
    held_out: float
    diverged: int
    seeds: int


@dataclass(frozen=True)
class Best:
    """A schedule at the rate that is best for it: smallest geometric mean over seeds of final loss + ε.

    Attributes
    ----------
    lr : float
        That rate.
    cell : RateCell
        How it did.
    at_edge : bool
        Whether no smaller or no larger rate was tried.
    """

    lr: float
    cell: RateCell
    at_edge: bool


@dataclass(frozen=True)
class Row:
    """A method on one task: a cell for each base rate, the same one if it takes none."""

    method: Method
    cells: dict[float, RateCell]
    best: Best | None


@dataclass(frozen=True)
class Table:
    """The methods of one optimizer on one task, ours first, then the reference."""

    task: Task
    optimizer: str
    rows: list[Row]


def tables_of(results: Mapping[Key, Result], tasks: Sequence[Task], methods: Sequence[Method]) -> list[Table]:
    """Return a table for each task and optimizer; what was not run is nan."""
    runs = gather(results, {task.name: task.epsilon for task in tasks})
    names = [task.name for task in tasks]
    views = {m.name: _View(m, runs.get(m.name), tune(names, m.name, runs.get(m.name))[0]) for m in methods}
    found = []
    for p, task in enumerate(tasks):
        for optimizer in task.natural_rates:
            reference = views.get(f"{optimizer} {REFERENCE}")
            levels = (math.nan, math.nan) if reference is None else reference.best_levels(p)
            mine = sorted((m for m in methods if m.optimizer == optimizer), key=_place)
            rows = [views[m.name].row(task, p, levels) for m in mine]
            found += [Table(task, optimizer, rows)] if rows else []
    return found


def is_ours(method: Method) -> bool:
    """Return whether it is one of nalr's."""
    return isinstance(method, Nalr)


def _place(method: Method) -> tuple[bool, bool]:
    return not is_ours(method), method.name != f"{method.optimizer} {REFERENCE}"


@dataclass(frozen=True)
class _View:
    """The runs of one method, and its best factor on each task."""

    method: Method
    runs: Runs | None
    tuned: Sequence[Tuned]

    def row(self, task: Task, p: int, reference: tuple[float, float]) -> Row:
        rates = {factor: task.base_lr(self.method.optimizer, factor) for factor in SCORED}
        cells = {lr: self._cell(p, factor, reference) for factor, lr in rates.items()}
        tuned = self.tuned[p]
        if self.method.tuning_free or math.isnan(tuned.factor):
            return Row(self.method, cells, None)
        lr = task.base_lr(self.method.optimizer, tuned.factor)
        return Row(self.method, cells, Best(lr, self._cell(p, tuned.factor, reference), tuned.at_edge))

    def best_levels(self, p: int) -> tuple[float, float]:
        """Return the levels at the best factor; nan if every factor diverged for some seed."""
        return self._levels(p, self.tuned[p].factor)

    def _cell(self, p: int, factor: float, reference: tuple[float, float]) -> RateCell:
        final, held_out = self._levels(p, factor)
        flags = self._of_seeds("diverged", p, factor)
        known = flags[~np.isnan(flags)]
        ratios = math.exp(final - reference[0]), math.exp(held_out - reference[1])
        return RateCell(*ratios, int(known.sum()), known.size)

    def _levels(self, p: int, factor: float) -> tuple[float, float]:
        """Return the means over seeds of the logarithms of final loss + ε and of held-out loss + ε."""
        losses, held_out = (
            mean(self._of_seeds(name, p, factor), 1.0, axis=0) for name in ("losses", "held_out")
        )
        return float(losses), float(held_out)

    def _of_seeds(self, name: str, p: int, factor: float) -> Array:
        """Return a column of the runs (S,), empty where `factor` was not run."""
        columns = [] if self.runs is None else self.runs.columns([factor])
        found: Array = getattr(self.runs, name)[p, columns[0]] if columns else np.empty(0)
        return found
