"""What of the source a result depends on: a module and all of the package that it imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import nalr

ROOTS = {"nalr": Path(nalr.__file__).parent, "nalr_bench": Path(__file__).parents[2]}
"""The packages that are followed, and where they are."""
SAFE = frozenset({"nalr", "nalr._checks"})
"""Not followed: they take part in no number, and a change of theirs would make every run anew."""


def fingerprint(modules: Iterable[str]) -> str:
    """Return a hash of the code of these modules and of what they import from the package, near and far.

    Comments, docstrings and line breaks do not count: to explain a problem better costs no race.

    Examples
    --------
    >>> problem = "nalr_bench.race.problems.valleys"
    >>> fingerprint([problem]) == fingerprint([problem, "nalr.landscapes"])  # which it imports
    True
    """
    files: set[Path] = set()
    waiting = [file for module in modules for file in _files(module)]
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            waiting += [other for module in _read(file)[1] for other in _files(module)]
    digest = hashlib.sha256()
    for name, file in sorted((_name(file), file) for file in files):
        digest.update(f"{name} {_read(file)[0]}\n".encode())
    return digest.hexdigest()


def _files(module: str) -> list[Path]:
    """Return the file of a module; of the kernels, which are loaded by a name asked of them, all."""
    name, *parts = module.split(".")
    if name not in ROOTS or module in SAFE:
        return []
    path = ROOTS[name].joinpath(*parts)
    if module == "nalr.kernels":
        return sorted(path.glob("*.py"))
    return [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()]


def _name(file: Path) -> str:
    """Return a file's path from its package on, the same wherever the packages are installed."""
    package, root = next((name, root) for name, root in ROOTS.items() if file.is_relative_to(root))
    return f"{package}/{file.relative_to(root).as_posix()}"


@cache
def _read(file: Path) -> tuple[str, list[str]]:
    """Return a hash of a file's code, and the modules that may be what it imports."""
    tree = ast.parse(file.read_bytes())
    imported = list(_imports(tree))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [each for each in body if not _is_text(each)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imported


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield module names, among them such as "module.function", which are no modules; all are absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
