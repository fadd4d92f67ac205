"""Markdown pages as tests read them: examples, tables, links, prose."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = sorted(page for page in (ROOT / "docs").rglob("*.md"))
REPORTS = {*(ROOT / "docs" / "reports").glob("*.md"), ROOT / "docs" / "demo.md"}
"""Pages that commands write."""

EXAMPLE = re.compile(r"```python\n(.*?)```\n+(?:```text\n(.*?)```)?", flags=re.DOTALL)


def cells(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def tables(page: str) -> list[list[list[str]]]:
    """Return the tables of a page, each as lines of cells without the rule below the head."""
    blocks = re.findall(r"(?:^\|.*\n?)+", page, flags=re.MULTILINE)
    return [
        [cells(line) for line in block.splitlines() if not re.match(r"[|:\s-]+$", line)] for block in blocks
    ]


def rows_of(table: list[list[str]]) -> list[dict[str, str]]:
    """Return the rows of a table of methods: their name under "method", the others under their heads."""
    head = ["method", *table[0][1:]]
    return [dict(zip(head, row, strict=True)) for row in table[1:]]


def links(page: str) -> list[str]:
    """Return the local files that a page links to or shows, without anchors."""
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page)


def prose(page: str) -> str:
    """Return a page without code, comments and the targets of links."""
    page = re.sub(r"```.*?```|<!--.*?-->|`[^`]*`", " ", page, flags=re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", page)


def numbers(text: str) -> list[str]:
    """Return the numbers of a text, without signs and per cent signs."""
    return re.findall(r"(?<![\w.])((?:\d[\d,]*)?\.?\d+(?:e[-+]?\d+)?)%?(?!\w)", text)


def unsourced_numbers(section: str, folder: Path) -> list[str]:
    """Return the numbers in the prose and tables of a section that no report it links to contains."""
    reports = {(folder / link).resolve() for link in links(section)} & REPORTS
    known = {number for page in reports for number in numbers(page.read_text(encoding="utf-8"))}
    return [number for number in numbers(prose(section)) if number not in known]
