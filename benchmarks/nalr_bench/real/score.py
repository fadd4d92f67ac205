"""What runs come to: ratios to the hand-tuned linear decay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nalr_bench.race.methods.method import Method
from nalr_bench.real.choice import REFERENCE
from nalr_bench.real.roster import BASE_RATES, OPTIMIZERS, rates
from nalr_bench.real.runs import Key, Result
from nalr_bench.real.task import Task


@dataclass(frozen=True)
class Cell:
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
    cell : Cell
        How it did.
    at_edge : bool
        Whether no smaller or no larger rate was tried.
    """

    lr: float
    cell: Cell
    at_edge: bool


@dataclass(frozen=True)
class Row:
    """A method on one task: a cell for each base rate, the same one if it takes none."""

    method: Method
    cells: dict[float, Cell]
    best: Best | None


@dataclass(frozen=True)
class Table:
    """The methods of one optimizer on one task, ours first."""

    task: Task
    optimizer: str
    rows: list[Row]


class Scores:
    """Ratios of all methods.

    Parameters
    ----------
    results : mapping of Key to Result
        The runs; what is missing is nan.
    tasks, methods : sequences
        Of whom.
    """

    def __init__(
        self, results: Mapping[Key, Result], tasks: Sequence[Task], methods: Sequence[Method]
    ) -> None:
        self._tasks, self._methods = tasks, methods
        self._found: dict[tuple[str, str, float | None], list[Result]] = {}
        for (task, method, lr, _), result in results.items():
            self._found.setdefault((task, method, lr), []).append(result)

    def tables(self) -> list[Table]:
        """Return a table for each task and optimizer."""
        return [
            Table(task, optimizer, self._rows(task, mine))
            for task in self._tasks
            for optimizer in OPTIMIZERS
            if (mine := [method for method in self._methods if method.optimizer == optimizer])
        ]

    def _rows(self, task: Task, methods: list[Method]) -> list[Row]:
        reference = next((m for m in methods if m.name == f"{m.optimizer} {REFERENCE}"), None)
        levels = (math.nan, math.nan)
        if reference is not None and (lr := self._best_rate(task, reference)) is not None:
            levels = self._levels(task, reference, lr)
        ours = [method for method in methods if is_ours(method)]
        return [self._row(task, m, levels) for m in [*ours, *(m for m in methods if m not in ours)]]

    def _row(self, task: Task, method: Method, reference: tuple[float, float]) -> Row:
        bases = BASE_RATES[method.optimizer]
        cells = {b: self._cell(task, method, b if method.takes_rate else None, reference) for b in bases}
        lr = None if method.tuning_free else self._best_rate(task, method)
        if lr is None:
            return Row(method, cells, None)
        tried = rates(method)
        return Row(
            method, cells, Best(lr, self._cell(task, method, lr, reference), lr in (tried[0], tried[-1]))
        )

    def _cell(self, task: Task, method: Method, lr: float | None, reference: tuple[float, float]) -> Cell:
        found = self._found.get((task.name, method.name, lr), [])
        final, held_out = self._levels(task, method, lr)
        diverged = sum(result.diverged for result in found)
        return Cell(final / reference[0], held_out / reference[1], diverged, len(found))

    def _best_rate(self, task: Task, method: Method) -> float | None:
        """Return the best rate; None if every rate diverged for some seed."""
        levels = {lr: self._levels(task, method, lr)[0] for lr in rates(method) if lr is not None}
        finite = {lr: level for lr, level in levels.items() if math.isfinite(level)}
        return min(finite, key=finite.__getitem__, default=None)

    def _levels(self, task: Task, method: Method, lr: float | None) -> tuple[float, float]:
        """Return the geometric means over seeds of final loss + ε and of held-out loss + ε."""
        found = self._found.get((task.name, method.name, lr), [])
        return (
            _mean([result.final_loss + task.epsilon for result in found]),
            _mean([result.held_out + task.epsilon for result in found]),
        )


def is_ours(method: Method) -> bool:
    """Return whether it is one of nalr's."""
    return method.name.split()[0] == "nalr"


def _mean(values: list[float]) -> float:
    """Return the geometric mean of positive numbers; nan of none.

    Examples
    --------
    >>> round(_mean([1.0, 4.0]), 12), _mean([1.0, math.inf])
    (2.0, inf)
    """
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else math.nan
