"""Numbers as short text, rows of text as tables, records as JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

ABSENT = "-"
WIDTH = 104


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


def wrapped(text: str) -> str:
    """Return a paragraph in lines."""
    return textwrap.fill(text, WIDTH)


def number(value: float) -> str:
    """Return three digits, or none after the point from 100 on."""
    if math.isnan(value):
        return ABSENT
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def percent(share: float) -> str:
    """Return a share; all and none without a digit after the point."""
    return ABSENT if math.isnan(share) else f"{share:.0%}" if share in (0.0, 1.0) else f"{share:.1%}"


def jsonable(value: Any) -> Any:
    """Return dicts, lists and numbers as they are, tuples as lists, and None for what is not finite."""
    if isinstance(value, dict):
        return {key: jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
