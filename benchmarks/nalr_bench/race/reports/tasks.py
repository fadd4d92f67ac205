"""The result of a race on tasks: as text, as a Markdown document, and as plain numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nalr_bench import tables as text
from nalr_bench.race.choice import Choice
from nalr_bench.race.engine.plan import SCORED, TUNED_ON_TASKS
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.engine.run import FINAL_SHARE
from nalr_bench.race.engine.training import RUNAWAY
from nalr_bench.race.methods.schedules import WARM_UP
from nalr_bench.race.reports.page import DPI, Page
from nalr_bench.race.scoring.tables import Row, Table, is_ours, tables_of
from nalr_bench.race.scoring.verdict import TARGET, shown, verdicts
from nalr_bench.race.tasks.task import Task

NUM_RATES = len({*SCORED, *TUNED_ON_TASKS})
LEGEND = (
    "Final loss over that of the hand-tuned linear decay, geometric mean over seeds, from each base rate. "
    "Final loss: mean loss over a fixed part of the training set, averaged over the last "
    f"{100 * FINAL_SHARE:g} % of the steps. Tuned: at the best of {NUM_RATES} rates, in parentheses. Methods "
    "that take no base rate have the same number everywhere. Diverged: not finite, or "
    f"{100 * (RUNAWAY - 1):.0f} % above the first loss."
)
ABOUT = f"""\
Ordinary PyTorch training loops: `nn.Module` models, torch's optimizers, `loss.backward()`,
`optimizer.step()`, `scheduler.step(loss)`. Linear and cosine warm up over {100 * WARM_UP:g} % of the steps.
nalr is told the number of steps, except where it says *anytime*; *microbatches* makes two backward passes a
step. Prodigy, D-Adaptation and Mechanic run at their recommended rate of 1, with the schedules that their
authors advise; DoG takes no rate; schedule-free and MoMo start from the base rates, among which are the 1
(SGD) and 0.01 (MoMo-Adam) that their authors advise."""


def task_page(
    choice: Choice, results: Mapping[Key, Result], epsilons: Mapping[str, float], command: str
) -> Page:
    """Return the page; `command` as in `choice.command`."""
    tasks = [entry for entry in choice.entries if isinstance(entry, Task)]
    found = tables_of(results, tasks, choice.methods)

    def plot(path: Path) -> None:
        from nalr_bench.race.reports.training_runs import plot_training_runs

        plot_training_runs(to_dict(found)).savefig(path, dpi=DPI)

    return Page(render(found), to_dict(found), document(found, choice, command), plot)


def render(tables: Sequence[Table]) -> str:
    """Return the tables, the legend and the verdicts as text."""
    parts = [text.aligned(rows_of(table)) for table in tables]
    return "\n\n".join([*parts, text.wrapped(LEGEND), *edges(tables), *map(str, verdicts(tables))])


def document(tables: Sequence[Table], choice: Choice, command: str) -> str:
    """Return the Markdown document; the same runs give the same text on every day."""
    extent = (
        f"{len(choice.entries)} tasks, {len(choice.methods)} methods, {choice.seeds} seeds, "
        f"{len(choice.starts())} runs of {choice.num_steps} steps."
    )
    parts = ["# A race on networks in PyTorch", f"Made by `{command}`: {extent}", ABOUT]
    if choice.left_out:
        parts.append(f"Left out: {'; '.join(choice.left_out)}.")
    parts += map(str, verdicts(tables))
    parts += ["## Final loss", LEGEND, *_sections(tables, held_out=False), *edges(tables)]
    parts += [
        "## Held-out loss",
        "The same of the loss over held-out data after the last step; the linear decay is tuned as above.",
        *_sections(tables, held_out=True),
    ]
    return "\n\n".join(parts) + "\n"


def to_dict(tables: Sequence[Table]) -> dict[str, Any]:
    """Return everything as dicts, lists, strings and numbers; None for what is nan or infinite."""
    found: dict[str, Any] = text.jsonable(
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
            "target": TARGET,
            "verdicts": [{"method": v.method, "met": v.met, "text": str(v)} for v in verdicts(tables)],
        }
    )
    return found


def rows_of(table: Table, held_out: bool = False) -> list[tuple[str, ...]]:
    """Return a table's rows as text, headings first."""
    heading = f"{table.optimizer}, {table.task.name}"
    rows = [(heading, "tuned", *(f"{lr:g}" for lr in table.rows[0].cells))]
    for row in table.rows:
        best = row.best
        tuned = text.ABSENT if best is None else f"{shown(best.cell, held_out)} ({best.lr:g})"
        rows.append((row.method.name, tuned, *(shown(cell, held_out) for cell in row.cells.values())))
    return rows


def edges(tables: Sequence[Table]) -> Iterator[str]:
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
