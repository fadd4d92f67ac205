"""Whether nalr is as good as the tuned decay from base rates that are wrong by a factor of a hundred."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nalr_bench import tables as text
from nalr_bench.race.scoring.tables import RateCell, Table, is_ours
from nalr_bench.race.tasks.task import Task

TARGET = 1.1
"""The largest ratio to the hand-tuned linear decay, from any base rate, that is good enough."""
TASK = "transformer"


@dataclass(frozen=True)
class Verdict:
    """One of our methods on the transformer, from the outer base rates of each optimizer.

    Attributes
    ----------
    method : str
        Its name without the optimizer's.
    cells : dict of (str, float) to RateCell
        By optimizer and base rate.
    met : bool or None
        Whether no ratio is above the target and none diverged; None if something was not run.
    """

    method: str
    cells: dict[tuple[str, float], RateCell]
    met: bool | None

    def __str__(self) -> str:
        parts = [f"{optimizer} {lr:g}: {shown(cell)}" for (optimizer, lr), cell in self.cells.items()]
        missing = [
            optimizer for optimizer in Task.natural_rates if optimizer not in {o for o, _ in self.cells}
        ]
        parts += [f"{optimizer}: not run" for optimizer in missing]
        word = {True: "met", False: "missed", None: "not judged"}[self.met]
        return (
            f"{self.method} on the {TASK}, final loss ÷ hand-tuned linear from the outer base rates: "
            f"{', '.join(parts)}. Target: at most {TARGET:g} in each, none diverged: {word}."
        )


def verdicts(tables: Sequence[Table]) -> Iterator[Verdict]:
    """Yield the verdict on each of our methods that ran on the transformer."""
    rows = [
        (" ".join(word for word in row.method.name.split() if word != table.optimizer), table.optimizer, row)
        for table in tables
        for row in table.rows
        if table.task.name == TASK and is_ours(row.method)
    ]
    for name in dict.fromkeys(name for name, _, _ in rows):
        cells = {
            (optimizer, lr): row.cells[lr]
            for kind, optimizer, row in rows
            for lr in (min(row.cells), max(row.cells))
            if kind == name
        }
        yield Verdict(name, cells, _met(cells))


def _met(cells: dict[tuple[str, float], RateCell]) -> bool | None:
    if any(cell.diverged or cell.ratio > TARGET for cell in cells.values()):
        return False
    whole = len(cells) == 2 * len(Task.natural_rates) and not any(math.isnan(c.ratio) for c in cells.values())
    return True if whole else None


def shown(cell: RateCell, held_out: bool = False) -> str:
    """Return a cell as text: its ratio, or how many diverged."""
    if cell.diverged:
        return "diverged" if cell.diverged == cell.seeds else f"diverged {cell.diverged}/{cell.seeds}"
    return text.number(cell.held_out if held_out else cell.ratio)
