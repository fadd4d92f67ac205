"""``nalr race real`` from its options to the exit status."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from nalr_bench import console
from nalr_bench import tables as text
from nalr_bench.parallel import Workers
from nalr_bench.race.engine.race import RunFailed
from nalr_bench.race.engine.store import default_path
from nalr_bench.real import report
from nalr_bench.real.choice import Choice, Contradiction, choose, command
from nalr_bench.real.race import race
from nalr_bench.real.roster import METHODS, TASKS
from nalr_bench.real.runs import Key, Result
from nalr_bench.real.score import Scores, Table
from nalr_bench.real.store import Store

FAILED, REFUSED = 1, 2
IN_MEMORY = "none"
DPI = 150


def run(options: argparse.Namespace) -> int:
    """Train as the options say and print how it came out; return 0, or 1 if a run or a file failed."""
    if options.list:
        print(catalogue())
        return 0
    try:
        choice = choose(options)
    except Contradiction as error:
        print(f"nalr race real: {error}", file=sys.stderr)
        return REFUSED
    for line in choice.left_out:
        print(f"Left out: {line}.", file=sys.stderr)
    path = default_path() if options.cache is None else Path(options.cache)
    kept = None if options.cache == IN_MEMORY else path
    try:
        results = _race(choice, kept, options.jobs)
    except KeyboardInterrupt:
        if kept is not None:
            print(f"\nWhat was run is kept in {kept}: run the same command again to go on.", file=sys.stderr)
        raise
    except (RunFailed, BrokenProcessPool) as error:
        print(f"nalr race real: a run failed: {error}", file=sys.stderr)
        return FAILED
    except (OSError, sqlite3.Error) as error:
        print(f"nalr race real: results cannot be kept in {kept}: {error}", file=sys.stderr)
        return REFUSED
    tables = Scores(results, choice.tasks, choice.methods).tables()
    return 0 if _publish(options, choice, tables) else FAILED


def catalogue() -> str:
    """Return the names of all models and methods."""
    tasks = [("model", ""), *((task.name, task.title) for task in TASKS.values())]
    methods = [("method", "optimizer", "base rate")]
    for each in METHODS.values():
        kind = "needs none" if not each.takes_rate else "any" if each.tuning_free else "to be tuned"
        methods.append((each.name, each.optimizer, kind))
    return f"{text.aligned(tasks)}\n\n{text.aligned(methods)}"


def _race(choice: Choice, path: Path | None, jobs: int | None) -> dict[Key, Result]:
    starts = choice.starts()
    with Store(path) as store, Workers(jobs) as workers, console.bar(len(starts)) as progress:
        return race(starts, store, workers, progress)


def _publish(options: argparse.Namespace, choice: Choice, tables: Sequence[Table]) -> bool:
    """Print the tables and write the files; return whether all went well."""
    found = {"command": command(options), **report.to_dict(tables), "left_out": choice.left_out}
    print(json.dumps(found, indent=2) if options.json else report.render(tables), flush=True)
    written = report.document(tables, choice, command(options))

    def draw(path: Path) -> None:
        from nalr_bench.race.reports.training_runs import plot_real_runs

        plot_real_runs(found).savefig(path, dpi=DPI)

    jobs: list[tuple[Path | None, Callable[[Path], object]]] = [
        (options.report, lambda path: path.write_text(written, encoding="utf-8")),
        (options.plot, draw),
    ]
    return all([console.written(path, write) for path, write in jobs if path is not None])
