"""``nalr race`` from its options to the exit status."""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from nalr_bench import tables as text
from nalr_bench.console import bar, written
from nalr_bench.parallel import Workers
from nalr_bench.race.catalog import CATALOG
from nalr_bench.race.choice import Choice, Contradiction, choose, command
from nalr_bench.race.engine.race import RunFailed, race
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.engine.store import Store, default_path
from nalr_bench.race.methods.method import TASK
from nalr_bench.race.methods.roster import METHODS
from nalr_bench.race.reports.page import Page
from nalr_bench.race.reports.problems import problem_page
from nalr_bench.race.reports.tasks import task_page

FAILED, REFUSED = 1, 2
IN_MEMORY = "none"
FEW = 3
"""As many that are left out have a line each."""

Results = dict[Key, Result]


def run(options: argparse.Namespace) -> int:
    """Race as the options say and print the result; return 0, or 1 if a run or a file failed."""
    if options.list:
        print(catalogue())
        return 0
    try:
        choices = choose(options)
        # Making each problem now also finds out now what is not installed.
        epsilons = [choice.epsilons() for choice in choices]
    except (Contradiction, ImportError) as error:
        print(f"nalr race: {error}", file=sys.stderr)
        return REFUSED
    left_out = list(dict.fromkeys(line for choice in choices for line in choice.left_out))
    for line in shortened(left_out):
        print(f"Left out: {line}.", file=sys.stderr)
    path = _cache(options.cache)
    try:
        results = _race(choices, path, options.jobs)
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
    if options.hash:
        _print(options, [{"hash": hash_of(results)}], [hash_of(results)], left_out)
        return 0
    words = command(options)
    pages = [
        (task_page if choice.kind == TASK else problem_page)(choice, found, epsilon, words)
        for choice, found, epsilon in zip(choices, results, epsilons, strict=True)
    ]
    texts = [f"{choice.described()}\n\n{page.text}" for choice, page in zip(choices, pages, strict=True)]
    _print(options, [page.found for page in pages], texts, left_out)
    return 0 if _write(options, pages) else FAILED


def shortened(left_out: Sequence[str]) -> Sequence[str]:
    """Return a line for each that is left out; where they are many, one that counts them by reason."""
    if len(left_out) <= FEW:
        return left_out
    reasons = Counter(line.split(": ", 1)[-1] for line in left_out)
    counted = ", ".join(f"{count} ({reason})" for reason, count in reasons.most_common())
    return [f"{counted}; --json names them"]


def hash_of(results: Sequence[Results]) -> str:
    """Return the SHA-256 of the rates and losses of all runs, in the order of their keys."""
    digest = hashlib.sha256()
    for found in results:
        for key in sorted(found):
            digest.update(repr((found[key].rates, found[key].losses)).encode())
    return digest.hexdigest()


def catalogue() -> str:
    """Return the names of all problems, tasks and methods."""
    entries = [("entry", "kind", "group", "family")]
    for kind, named in CATALOG.items():
        entries += [(entry.name, kind, entry.group, entry.family) for entry in named.values()]
    methods = [("method", "optimizer", "races on", "base rate")]
    for each in METHODS.values():
        rate = "needs none" if not each.takes_rate else "any" if each.tuning_free else "to be tuned"
        methods.append((each.name, each.optimizer, ", ".join(f"{kind}s" for kind in each.kinds), rate))
    return f"{text.aligned(entries)}\n\n{text.aligned(methods)}"


def _race(choices: Sequence[Choice], path: Path | None, jobs: int | None) -> list[Results]:
    starts = [choice.starts() for choice in choices]
    with Store(path) as store, Workers(jobs) as workers, bar(sum(map(len, starts))) as progress:
        return [race(each, store, workers, progress) for each in starts]


def _print(
    options: argparse.Namespace, found: Sequence[dict[str, object]], texts: Sequence[str], left_out: list[str]
) -> None:
    if options.json:
        whole: dict[str, object] = {"command": command(options)}
        for part in found:
            whole |= part
        print(json.dumps(whole | {"left_out": left_out}, indent=2), flush=True)
    else:
        print("\n\n".join(texts), flush=True)


def _write(options: argparse.Namespace, pages: Sequence[Page]) -> bool:
    """Write the files that were asked for; return whether all went well."""
    document = "\n".join(page.document for page in pages)
    jobs: list[tuple[Path | None, Callable[[Path], object]]] = [
        (options.report, lambda path: path.write_text(document, encoding="utf-8")),
        (options.plot, pages[0].plot),
    ]
    if rates := pages[0].plot_rates:
        jobs.append((options.plot_rates, lambda path: rates(path, options.rates_problem)))
    return all([written(path, write) for path, write in jobs if path is not None])


def _cache(name: str | None) -> Path | None:
    if name is None:
        return default_path()
    return None if name == IN_MEMORY else Path(name)
