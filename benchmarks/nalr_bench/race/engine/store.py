"""What has been run already, on disk: a race that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
from pathlib import Path
from types import TracebackType

from nalr_bench.race.engine.fingerprint import fingerprint
from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Start
from nalr_bench.race.tasks.task import Task

RUN, TRAIN = "nalr_bench.race.engine.run", "nalr_bench.race.engine.training"
"""The modules that runs on problems and on tasks depend on, besides those of entry and method."""


class Store:
    """Results by what they depend on: the start's settings, the source behind it, and Python's version.

    Parameters
    ----------
    path : Path or None
        An SQLite file; its directory is made if need be. None keeps results in memory, as long as this lives.

    Notes
    -----
    A change of the code behind a run makes that run anew, and no other. Rows of old code stay and cost only
    room; delete the file to be rid of them, and after an upgrade of NumPy, torch or a peer, which are not
    looked at.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(":memory:" if path is None else path)
        self._connection.execute("PRAGMA busy_timeout=60000")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")  # safe with WAL, and a sync less a result
        self._connection.execute("CREATE TABLE IF NOT EXISTS results (name TEXT PRIMARY KEY, result TEXT)")
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
            "SELECT result FROM results WHERE name = ?", (self.name(start),)
        ).fetchone()
        return None if row is None else _from_json(row[0])

    def put(self, start: Start, result: Result) -> None:
        """Keep a result, at once and whole."""
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?)", (self.name(start), json.dumps(result))
            )

    def name(self, start: Start) -> str:
        """Return what the result of `start` is kept under."""
        engine = TRAIN if isinstance(start.entry, Task) else RUN
        settings = (
            repr(start.method),
            *start.entry.settings,
            start.base_lr,
            start.seed,
            start.num_steps,
            start.offset,
            sys.version_info[:2],  # the text of the transformers is the source of Python's library
            self._fingerprint((engine, start.entry.module, type(start.method).__module__)),
        )
        return hashlib.sha256(repr(settings).encode()).hexdigest()

    def _fingerprint(self, modules: tuple[str, ...]) -> str:
        if modules not in self._prints:
            self._prints[modules] = fingerprint(modules)
        return self._prints[modules]


def default_path() -> Path:
    """Return where results are kept if nothing else is said: the user's cache directory."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nalr" / "race.sqlite"


def _from_json(text: str) -> Result:
    return Result(*json.loads(text))  # inf and nan are written and read as Infinity and NaN
