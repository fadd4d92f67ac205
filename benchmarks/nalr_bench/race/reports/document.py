"""A race on problems as a Markdown document: the command that made it, and every table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nalr_bench import tables as text
from nalr_bench.race.choice import Choice
from nalr_bench.race.problems.entry import GROUPS
from nalr_bench.race.reports import ablations, numbers
from nalr_bench.race.reports.report import HEADINGS, LEGEND, Report, edges, problem_rows
from nalr_bench.race.scoring.score import ALL
from nalr_bench.race.scoring.standing import Standing

SCORES = ("all", *(heading for heading in HEADINGS if heading != "worst cell"))


def write(report: Report, choice: Choice, command: str, records: Sequence[dict[str, Any]] = ()) -> str:
    """Return the document; the same race gives the same text on every day.

    Parameters
    ----------
    report : Report
        What came out.
    choice : Choice
        What was run.
    command : str
        The command line.
    records : sequence of dict
        From `ablations.compare`, if rules were compared.
    """
    parts = ["# A race of learning rates", f"Made by `{command}`:", _extent(choice)]
    if choice.left_out:
        parts.append(f"Left out: {'; '.join(choice.left_out)}.")
    if records:
        parts += ["## The rule without each ingredient", *map(text.piped, ablations.tables(records))]
        parts.append(ablations.LEGEND)
    parts += [
        "## Scores",
        *(text.piped(rows) for rows in _scores(report)),
        LEGEND,
        *edges(report),
        "## Worst cells",
        "The problem and base rate where a method did worst, in each group: mean over seeds.",
        *(text.piped(rows) for rows in _worst(report)),
        "## Each problem",
        "Geometric mean over seeds and the base rates of the score.",
        *(text.piped(problem_rows(report, optimizer)) for optimizer in report.by_optimizer()),
    ]
    return "\n\n".join(parts) + "\n"


def _extent(choice: Choice) -> str:
    length = "of each problem's own length" if choice.num_steps is None else f"of {choice.num_steps} steps"
    counts = (
        f"{len(choice.entries)} problems, {len(choice.methods)} methods, {choice.seeds} seeds, "
        f"{len(choice.starts())} runs {length}"
    )
    return counts + (f"; every loss shown to a method raised by {choice.offset:g}." if choice.offset else ".")


def _scores(report: Report) -> Iterator[list[tuple[str, ...]]]:
    for optimizer, methods in report.by_optimizer().items():
        yield [(optimizer, *SCORES), *((method[ALL].method, *_row(method)) for method in methods)]


def _row(method: dict[str, Standing]) -> tuple[str, ...]:
    whole = method[ALL]
    return (
        *(numbers.score(method[group]) if group in method else text.ABSENT for group in (ALL, *GROUPS)),
        text.number(whole.score_constant),
        text.percent(whole.diverged),
        text.percent(whole.diverged_extreme),
        text.percent(whole.escape),
        numbers.steps(whole.steps),
    )


def _worst(report: Report) -> Iterator[list[tuple[str, ...]]]:
    for optimizer, methods in report.by_optimizer().items():
        rows: list[tuple[str, ...]] = [(optimizer, *GROUPS)]
        for method in methods:
            cells = [method[group].worst if group in method else None for group in GROUPS]
            rows.append((method[ALL].method, *map(numbers.worst, cells)))
        yield rows
