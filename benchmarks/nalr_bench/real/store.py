"""What has been run already, in a table of its own beside the race's."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from pathlib import Path
from types import TracebackType

from nalr_bench.race.engine.fingerprint import fingerprint
from nalr_bench.real.runs import Result, Start

ENGINE = "nalr_bench.real.runs"
"""The module that every run depends on, besides its task's and its method's."""


class Store:
    """Results by what they depend on: the start, the source behind it, and Python's version.

    A change of the code behind a method makes its runs anew, and no others. Upgrades of torch or of a peer
    are not looked at.

    Parameters
    ----------
    path : Path or None
        An SQLite file, which may be that of `nalr_bench.race.engine.store`; None keeps results in memory.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(":memory:" if path is None else path)
        self._connection.execute("PRAGMA busy_timeout=60000")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS real (name TEXT PRIMARY KEY, result TEXT)")
        self._prints: dict[tuple[str, ...], str] = {}

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, start: Start) -> Result | None:
        """Return the result of `start`; None if it is not there."""
        row = self._connection.execute(
            "SELECT result FROM real WHERE name = ?", (self.name(start),)
        ).fetchone()
        return None if row is None else Result(*json.loads(row[0]))  # inf and nan go there and back

    def put(self, start: Start, result: Result) -> None:
        """Keep a result, at once and whole."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO real VALUES (?, ?)", (self.name(start), json.dumps(result))
            )

    def name(self, start: Start) -> str:
        """Return what the result of `start` is kept under."""
        modules = (ENGINE, type(start.task).__module__, type(start.method).__module__)
        if modules not in self._prints:
            self._prints[modules] = fingerprint(modules)
        python = sys.version_info[:2]  # whose library is read
        settings = (repr(start), python, self._prints[modules])
        return hashlib.sha256(repr(settings).encode()).hexdigest()
