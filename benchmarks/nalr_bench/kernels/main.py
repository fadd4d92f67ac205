"""``nalr bench``: measure the kernels and report."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

from nalr.arrays import threads
from nalr_bench import console, machine
from nalr_bench.kernels import facts
from nalr_bench.kernels.options import GROUPS
from nalr_bench.kernels.plan import plan
from nalr_bench.kernels.report import render
from nalr_bench.measure import QUICK, Effort, measure
from nalr_bench.report import Report
from nalr_bench.workload import Fact, Result, WrongAnswer

FAILED, REFUSED = 1, 2


def run(options: argparse.Namespace) -> int:
    """Measure and print the report; return 0 if all answers agree, else 1.

    A missed figure is marked in the table and is no error.
    """
    if options.plot is not None and options.only and "batch" not in options.only:
        print("nalr bench: --plot draws the group batch, which --only leaves out.", file=sys.stderr)
        return REFUSED
    report = bench(options)
    report.show(render(report), as_json=options.json)
    drawn = options.plot is None or _draw(report, options.plot)
    return FAILED if report.wrong or not drawn else 0


def bench(options: argparse.Namespace) -> Report[Result]:
    """Return the measurements."""
    num_threads = options.threads or threads.get_num_threads()
    effort = QUICK if options.quick else Effort()
    if options.rounds is not None:
        effort = dataclasses.replace(effort, rounds=options.rounds)
    chosen = plan(machine.available_memory(), num_threads, options.quick, options.size, options.only)
    wrong: list[str] = []
    left_out = [f"{name}: not installed" for name in machine.missing_rivals()] + chosen.left_out
    try:
        described = machine.describe(num_threads)
        results: list[Result] = []
        with console.bar(len(chosen.workloads)) as progress:
            for workload in chosen.workloads:
                try:
                    results.append(measure(workload, effort))
                except WrongAnswer as error:
                    wrong.append(str(error))
                except MemoryError:
                    left_out.append(f"{workload.title}: out of memory")
                progress(1)
    finally:
        threads.set_num_threads(None)
    found = facts.flatness(results) + _facts(options.only or GROUPS, options.quick)
    return Report(described, results, found, wrong, left_out)


def _facts(groups: Iterable[str], quick: bool) -> list[Fact]:
    found: list[Fact] = []
    if "memory" in groups:
        found += facts.memory()
    if "start" in groups:
        found += facts.start(quick)
    return found


def _draw(report: Report[Result], path: Path) -> bool:
    """Save the picture; return whether that succeeded."""

    def save(where: Path) -> None:
        from nalr_bench.kernels.roofline import plot_roofline

        plot_roofline(report.to_dict()).savefig(where, dpi=150)

    return console.written(path, save)
