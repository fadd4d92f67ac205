"""How real runs came out: as text, as a Markdown document, and as plain numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from nalr_bench import tables as text
from nalr_bench.race.reports.report import plain
from nalr_bench.real.choice import Choice
from nalr_bench.real.roster import BASE_RATES
from nalr_bench.real.score import Row, Table, is_ours
from nalr_bench.real.verdict import FIGURE, shown, verdicts

LEGEND = (
    "Final loss over that of the hand-tuned linear decay, geometric mean over seeds, from each base rate.",
    "The final loss, which is the score, is the mean loss over a fixed part of the training set, averaged",
    "over the last 5 % of the steps. Tuned: at the best of 14 rates, in parentheses. Methods that take no",
    "base rate have the same number everywhere. Diverged: not finite, or 10 % above the first loss.",
)
ABOUT = """\
Ordinary PyTorch training loops: `nn.Module` models, torch's optimizers, `loss.backward()`,
`optimizer.step()`, `scheduler.step(loss)`. Linear and cosine warm up over 5 % of the steps. nalr knows the
number of steps, but for *anytime*; *microbatches* makes two backward passes a step. Prodigy, D-Adaptation and
Mechanic run at their recommended rate of 1, with the schedules that their authors advise; DoG takes none;
schedule-free and MoMo start from the base rates, among which are the 1 (SGD) and 0.01 (MoMo-Adam) that their
authors advise."""


def render(tables: Sequence[Table]) -> str:
    """Return the tables, the legend and the verdicts as text."""
    parts = [text.aligned(rows_of(table)) for table in tables]
    return "\n\n".join([*parts, "\n".join(LEGEND), *doubts(tables), *map(str, verdicts(tables))])


def document(tables: Sequence[Table], choice: Choice, command: str) -> str:
    """Return the Markdown document; the same runs give the same text on every day."""
    extent = (
        f"{len(choice.tasks)} models, {len(choice.methods)} methods, {choice.seeds} seeds, "
        f"{len(choice.starts())} runs of {choice.num_steps} steps."
    )
    parts = ["# Real training runs", f"Made by `{command}`: {extent}", ABOUT]
    if choice.left_out:
        parts.append(f"Left out: {'; '.join(choice.left_out)}.")
    parts += map(str, verdicts(tables))
    parts += ["## Final loss", " ".join(LEGEND), *_sections(tables, held_out=False), *doubts(tables)]
    parts += [
        "## Held-out loss",
        "The same of the loss over held-out data after the last step; the linear decay is tuned as above.",
        *_sections(tables, held_out=True),
    ]
    return "\n\n".join(parts) + "\n"


def to_dict(tables: Sequence[Table]) -> dict[str, Any]:
    """Return everything as dicts, lists, strings and numbers; None for what is nan or infinite."""
    found: dict[str, Any] = plain(
        {
            "tables": [
                {
                    "task": table.task.name,
                    "title": table.task.title,
                    "optimizer": table.optimizer,
                    "rows": [_row_dict(row) for row in table.rows],
                }
                for table in tables
            ],
            "figure": FIGURE,
            "verdicts": [{"method": v.method, "met": v.met, "text": str(v)} for v in verdicts(tables)],
        }
    )
    return found


def rows_of(table: Table, held_out: bool = False) -> list[tuple[str, ...]]:
    """Return a table's rows as text, headings first."""
    heading = f"{table.optimizer}, {table.task.name}"
    rows = [(heading, "tuned", *(f"{lr:g}" for lr in BASE_RATES[table.optimizer]))]
    for row in table.rows:
        best = row.best
        tuned = text.ABSENT if best is None else f"{shown(best.cell, held_out)} ({best.lr:g})"
        rows.append((row.method.name, tuned, *(shown(cell, held_out) for cell in row.cells.values())))
    return rows


def doubts(tables: Sequence[Table]) -> Iterator[str]:
    """Yield a paragraph if the best rate of a schedule is the first or the last that was tried."""
    found = [
        f"{row.method.name} on the {table.task.name} ({row.best.lr:g})"
        for table in tables
        for row in table.rows
        if row.best is not None and row.best.at_edge
    ]
    if found:
        yield f"Best at the edge of the rates that were tried: {', '.join(found)}."


def _sections(tables: Sequence[Table], held_out: bool) -> Iterator[str]:
    for table in tables:
        yield f"### {table.task.title}, {table.optimizer}"
        yield text.piped(rows_of(table, held_out))


def _row_dict(row: Row) -> dict[str, Any]:
    return {
        "method": row.method.name,
        "ours": is_ours(row.method),
        "takes_rate": row.method.takes_rate,
        "tuning_free": row.method.tuning_free,
        "best": None if row.best is None else dataclasses.asdict(row.best),
        "cells": [{"lr": lr, **dataclasses.asdict(cell)} for lr, cell in row.cells.items()],
    }
