"""``nalr bench estimators``: run a simulation and report it."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures.process import BrokenProcessPool

from nalr_bench import console
from nalr_bench.estimators.cell import perform, tasks
from nalr_bench.estimators.document import write
from nalr_bench.estimators.finding import Finding, findings
from nalr_bench.estimators.options import STUDIES
from nalr_bench.estimators.plan import Plan, plan
from nalr_bench.estimators.report import Report, render
from nalr_bench.parallel import Workers

FAILED, REFUSED = 1, 2


def run(options: argparse.Namespace) -> int:
    """Simulate and print the report; return 0, or 1 if a process died or a file was not written.

    A missed figure is marked in the table and is no error.
    """
    foreign = (options.size, options.plot, options.threads, options.rounds)
    if any(value is not None for value in foreign) or set(options.only or ()) - set(STUDIES):
        print("nalr bench estimators: options before `estimators` that it does not have.", file=sys.stderr)
        return REFUSED
    chosen = plan(options.quick, options.only, options.draws, options.seed)
    try:
        with Workers(options.jobs) as workers:
            report = simulate(chosen, workers)
    except BrokenProcessPool as error:
        print(f"nalr bench estimators: a process died: {error}", file=sys.stderr)
        return FAILED
    print(json.dumps(report.to_dict(), indent=2) if options.json else render(report), flush=True)
    if options.report is None:
        return 0
    text = write(report, command(options))
    written = console.written(options.report, lambda path: path.write_text(text, encoding="utf-8"))
    return 0 if written else FAILED


def simulate(chosen: Plan, workers: Workers) -> Report:
    """Return the report of a plan, which does not depend on the number of processes."""
    blocks = [list(tasks(cell, chosen.draws, chosen.seed)) for cell in chosen.cells]
    with console.bar(sum(map(len, blocks))) as progress:
        results = workers.map(perform, [task for each in blocks for task in each], lambda: progress(1))
    found: list[Finding] = []
    start = 0
    for cell, each in zip(chosen.cells, blocks, strict=True):
        joined = cell.join(results[start : start + len(each)])
        found += findings(cell, joined, chosen.draws)
        start += len(each)
    return Report(chosen.draws, chosen.seed, found)


def command(options: argparse.Namespace) -> str:
    """Return the command line, without options that do not affect the numbers."""
    words = ["nalr bench estimators"]
    words += ["--quick"] if options.quick else []
    words += [f"--only {','.join(options.only)}"] if options.only else []
    words += [f"--draws {options.draws}"] if options.draws else []
    words += [f"--seed {options.seed}"] if options.seed else []
    return " ".join(words)
