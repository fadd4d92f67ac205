"""``nalr race`` from its options to the exit status."""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from nalr_bench import tables as text
from nalr_bench.console import bar, written
from nalr_bench.parallel import Workers
from nalr_bench.race.choice import Choice, Contradiction, choose, command
from nalr_bench.race.engine.race import RunFailed, race
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.engine.store import Store, default_path
from nalr_bench.race.methods.roster import METHODS
from nalr_bench.race.problems.catalog import ENTRIES
from nalr_bench.race.reports import ablations, document
from nalr_bench.race.reports.draw import Drawing
from nalr_bench.race.reports.report import Report, plain, render
from nalr_bench.race.scoring.score import Score

FAILED, REFUSED = 1, 2
IN_MEMORY = "none"


def run(options: argparse.Namespace) -> int:
    """Race as the options say and print how it came out; return 0, or 1 if a run or a file failed."""
    if options.list:
        print(catalogue())
        return 0
    try:
        choice = choose(options)
        # ε is the problem's own; making each problem now also finds out now what is not installed.
        epsilons = {entry.name: entry.make(choice.num_steps).epsilon for entry in choice.entries}
    except (Contradiction, ImportError) as error:
        print(f"nalr race: {error}", file=sys.stderr)
        return REFUSED
    for line in choice.left_out:
        print(f"Left out: {line}.", file=sys.stderr)
    path = _cache(options.cache)
    try:
        results = _race(choice, path, options.jobs)
    except KeyboardInterrupt:
        if path is not None:
            print(f"\nWhat was run is kept in {path}: run the same command again to go on.", file=sys.stderr)
        raise
    except (RunFailed, BrokenProcessPool) as error:
        print(f"nalr race: a run failed: {error}", file=sys.stderr)
        return FAILED
    except (OSError, sqlite3.Error) as error:
        print(f"nalr race: results cannot be kept in {path}: {error}", file=sys.stderr)
        return REFUSED
    score = Score(results, choice.entries, epsilons, choice.contenders)
    report = Report(score.standings(), score.tuned())
    return 0 if _publish(options, choice, report, results) else FAILED


def catalogue() -> str:
    """Return the names of all problems and methods."""
    problems = [("problem", "group", "family")]
    problems += [(entry.name, entry.group, entry.family) for entry in ENTRIES.values()]
    methods = [("method", "optimizer", "base rate")]
    for each in METHODS.values():
        kind = "needs none" if not each.takes_rate else "any" if each.tuning_free else "to be tuned"
        methods.append((each.name, each.optimizer, kind))
    return f"{text.aligned(problems)}\n\n{text.aligned(methods)}"


def _race(choice: Choice, path: Path | None, jobs: int | None) -> dict[Key, Result]:
    starts = choice.starts()
    with Store(path) as store, Workers(jobs) as workers, bar(len(starts)) as progress:
        return race(starts, store, workers, progress)


def _publish(options: argparse.Namespace, choice: Choice, report: Report, results: dict[Key, Result]) -> bool:
    """Print the report and write the files; return whether all went well."""
    records = ablations.compare(report, choice.ablations)
    if options.json:
        found = {"command": command(options), **report.to_dict(), "left_out": choice.left_out}
        found |= {"ablations": plain(records)} if records else {}
        print(json.dumps(found, indent=2), flush=True)
    elif records:
        parts = [*map(text.aligned, ablations.tables(records)), "\n".join(ablations.LEGEND)]
        print("\n\n".join(parts), flush=True)
    else:
        print(render(report), flush=True)
    drawing = Drawing(choice, report, results)
    page = document.write(report, choice, command(options), records)
    jobs: list[tuple[Path | None, Callable[[Path], object]]] = [
        (options.report, lambda path: path.write_text(page, encoding="utf-8")),
        (options.plot, drawing.base_rates),
        (options.plot_rates, lambda path: drawing.rates(path, options.rates_problem)),
    ]
    return all([written(path, write) for path, write in jobs if path is not None])


def _cache(name: str | None) -> Path | None:
    if name is None:
        return default_path()
    return None if name == IN_MEMORY else Path(name)
