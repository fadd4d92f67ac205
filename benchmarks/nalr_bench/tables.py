"""Numbers as short text, rows of text as tables, records as JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

Row = Sequence[str]

ABSENT = "-"
WIDTH = 104


def aligned(rows: Sequence[Row]) -> str:
    """Return rows as lines, first column left-aligned, with a rule under the first row."""
    widths = widths_of(rows)
    lines = [line(row, widths) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def grouped(headings: Row, groups: Mapping[str, Sequence[Row]]) -> str:
    """Return a table: one line of headings, then each title with its rows, in columns."""
    if not groups:
        return ""
    widths = widths_of([headings, *(row for rows in groups.values() for row in rows)])
    rule = "-" * (sum(widths) + 2 * len(widths))
    lines = ["  " + line(headings, widths), rule]
    for title, rows in groups.items():
        lines += [title, *("  " + line(row, widths) for row in rows), rule]
    return "\n".join(lines)


def widths_of(rows: Sequence[Row]) -> list[int]:
    """Return the width of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def line(cells: Row, widths: Sequence[int]) -> str:
    """Return one line: the first cell left-aligned, the others right-aligned."""
    first, *rest = zip(cells, widths, strict=True)
    return "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)])


def piped(rows: Sequence[Row]) -> str:
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
