"""What has been run already, on disk: a race that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any

from nalr.bench.race.result import Result
from nalr.bench.race.runs import Start

PACKAGE = Path(__file__).parents[2]
ENGINE = ("bench/race/runs.py", "bench/race/contender.py", "bench/race/entry.py", "bench/problems.py", "landscapes")
"""What every run depends on, besides its problem's module and its contender's."""
OURS = ("controller.py", "noise.py", "path.py", "moments.py", "policies", "averaging.py")
"""What runs of nalr itself depend on too."""


class Store:
    """Results by what they depend on: the start's settings and the source files behind it.

    Parameters
    ----------
    path : Path
        An SQLite file; its directory is made if need be.

    Notes
    -----
    A change of a file behind a run makes that run anew, and no other. Rows of old files stay and cost only
    room; delete the file to be rid of them.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA busy_timeout=60000")
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
        maker = getattr(start.entry.make, "func", start.entry.make)
        modules = [_file_of(maker.__module__), _file_of(type(start.contender).__module__)]
        ours = OURS if type(start.contender).__module__.endswith(".ours") else ()
        settings = (
            repr(start.contender),
            repr(getattr(start.entry.make, "args", ())),
            repr(getattr(start.entry.make, "keywords", {})),
            getattr(maker, "__qualname__", repr(maker)),
            start.entry.name,
            start.factor * start.entry.natural(start.contender.optimizer),
            start.seed,
            start.num_steps,
            start.offset,
            self._fingerprint((*ENGINE, *modules, *ours)),
        )
        return hashlib.sha256(repr(settings).encode()).hexdigest()

    def _fingerprint(self, names: tuple[str, ...]) -> str:
        """Return a hash of the files and folders of these names."""
        if names not in self._prints:
            digest = hashlib.sha256()
            for name in names:
                path = PACKAGE / name
                for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                    digest.update(file.read_bytes() if file.exists() else b"")
            self._prints[names] = digest.hexdigest()
        return self._prints[names]


def default_path() -> Path:
    """Return where results are kept if nothing else is said: the user's cache directory."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "nalr" / "race.sqlite"


def _file_of(module: str) -> str:
    return module.removeprefix("nalr.").replace(".", "/") + ".py"


def _from_json(text: str) -> Result:
    values: list[Any] = json.loads(text)  # inf and nan go there and back as Infinity and NaN
    return Result(*values)
