"""Whether the base rate may be wrong by a hundred: the one figure that these runs are for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nalr_bench import tables as text
from nalr_bench.real.roster import BASE_RATES
from nalr_bench.real.score import Cell, Table, is_ours

FIGURE = 1.1
"""The ratio to the hand-tuned linear decay, from the outer base rates, that is good enough."""
TASK = "transformer"


@dataclass(frozen=True)
class Verdict:
    """One of our methods on the transformer, from the outer base rates of each optimizer.

    Attributes
    ----------
    method : str
        Its name without the optimizer's.
    cells : dict of (str, float) to Cell
        By optimizer and base rate.
    met : bool or None
        Whether no ratio is above the figure and none diverged; None if something was not run.
    """

    method: str
    cells: dict[tuple[str, float], Cell]
    met: bool | None

    def __str__(self) -> str:
        parts = [f"{optimizer} {lr:g}: {shown(cell)}" for (optimizer, lr), cell in self.cells.items()]
        missing = [optimizer for optimizer in BASE_RATES if optimizer not in {o for o, _ in self.cells}]
        parts += [f"{optimizer}: not run" for optimizer in missing]
        word = {True: "met", False: "missed", None: "not judged"}[self.met]
        return (
            f"{self.method} on the {TASK}, final loss ÷ hand-tuned linear from the outer base rates: "
            f"{', '.join(parts)}. Figure: at most {FIGURE:g} in each, none diverged: {word}."
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
            for lr in (BASE_RATES[optimizer][0], BASE_RATES[optimizer][-1])
            if kind == name
        }
        yield Verdict(name, cells, _met(cells))


def _met(cells: dict[tuple[str, float], Cell]) -> bool | None:
    if any(cell.diverged or cell.ratio > FIGURE for cell in cells.values()):
        return False
    whole = len(cells) == 2 * len(BASE_RATES) and not any(math.isnan(c.ratio) for c in cells.values())
    return True if whole else None


def shown(cell: Cell, held_out: bool = False) -> str:
    """Return a cell as text: its ratio, or how many diverged."""
    if cell.diverged:
        return "diverged" if cell.diverged == cell.seeds else f"diverged {cell.diverged}/{cell.seeds}"
    return text.number(cell.held_out if held_out else cell.ratio)
