"""Build step: tables of the policy's constants, read from the source of its settings.

A page asks for them with the line ``<!-- table of constants -->``.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

MARKER = "<!-- table of constants -->"
PACKAGE = Path(__file__).parents[2] / "nalr" / "policies" / "noise_adaptive"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marker by the tables; MkDocs calls this for every page."""
    return markdown.replace(MARKER, tables(PACKAGE)) if MARKER in markdown else markdown


def tables(package: Path) -> str:
    """Return one table for each group of fields of the dataclasses named ``…Settings`` in a package."""
    files = sorted(package.glob("*.py"), key=lambda file: (file.name != "settings.py", file.name))
    parts = [part for file in files for part in _of_file(file.read_text(encoding="utf-8"))]
    if not parts:
        raise ValueError(f"No dataclass named …Settings is in {package}.")
    return "\n\n".join(parts)


def _of_file(source: str) -> list[str]:
    classes = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Settings")
    ]
    return [table for node in classes for table in _of_class(node, source.splitlines())]


def _of_class(node: ast.ClassDef, lines: list[str]) -> list[str]:
    """Return the tables of a class: a comment on the line above a field begins another one."""
    groups: list[tuple[str, list[str]]] = []
    for field, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        title = _comment_above(lines, field.lineno - 1)
        if title or not groups:
            groups.append((title or f"`{node.name}`", []))
        default = "" if field.value is None else f"`{ast.unparse(field.value)}`"
        groups[-1][1].append(f"| `{field.target.id}` | {default} | {_meaning(after)} |")
    head = "| constant | default | meaning |\n| :-- | --: | :-- |\n"
    return [f"**{title}**\n\n{head}" + "\n".join(rows) for title, rows in groups]


def _comment_above(lines: list[str], index: int) -> str:
    comment: list[str] = []
    while (line := lines[index - 1].strip()).startswith("#"):
        comment.insert(0, line.lstrip("# "))
        index -= 1
    return " ".join(comment)


def _meaning(node: ast.AST) -> str:
    """Return the string that documents the field above it, on one line."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return ""
    return " ".join(str(node.value.value).split()).replace("|", "\\|")
