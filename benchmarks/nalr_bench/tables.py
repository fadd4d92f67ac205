"""Numbers of a race as short text, and rows of text as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nalr_bench.race.scoring.standing import Cell, Standing

ABSENT = "-"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, first column to the left, with a rule under the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = row
        cells = [f"{first:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def piped(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first one headings, as a Markdown table."""
    ruled = [rows[0], (":--", *["--:"] * (len(rows[0]) - 1)), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def number(value: float) -> str:
    """Return three digits, or none after the point from 100 on."""
    if math.isnan(value):
        return ABSENT
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def percent(share: float) -> str:
    """Return a share; all and none without a digit after the point."""
    return ABSENT if math.isnan(share) else f"{share:.0%}" if share in (0.0, 1.0) else f"{share:.1%}"


def score(standing: Standing) -> str:
    """Return the score, its interval if there is one, and how much of the race it stands on if not all."""
    text = number(standing.score)
    if not math.isnan(standing.low):
        text += f" [{number(standing.low)}, {number(standing.high)}]"
    if standing.num_cells < standing.expected:
        text += f" ({standing.num_cells} of {standing.expected} cells)"
    return text


def worst(cell: Cell | None) -> str:
    """Return the regret of a cell and where it is."""
    if cell is None:
        return ABSENT
    where = cell.problem if math.isnan(cell.factor) else f"{cell.problem}, b = {cell.factor:g}"
    return f"{number(cell.regret)} ({where})"


def steps(count: float) -> str:
    """Return a number of steps that may be infinite."""
    return "never" if math.isinf(count) else ABSENT if math.isnan(count) else f"{count:.0f}"
