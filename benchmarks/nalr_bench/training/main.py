"""``nalr bench training`` from its options to the exit status."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings

from nalr.arrays import threads
from nalr_bench import machine
from nalr_bench.measure import limited_to
from nalr_bench.report import Report
from nalr_bench.training.measure import QUICK, Effort, interleave
from nalr_bench.training.memory import memory
from nalr_bench.training.options import STUDIES
from nalr_bench.training.plan import plan
from nalr_bench.training.report import render
from nalr_bench.training.sampling import STEPS, sampling
from nalr_bench.training.study import Result, Study
from nalr_bench.workload import WrongAnswer

FAILED, REFUSED = 1, 2
QUICK_SAMPLING = 60


def run(options: argparse.Namespace) -> int:
    """Measure as the options say and print it; return 0 if all answers agree, else 1.

    A figure that is missed is marked in the table and is no error.
    """
    if machine.installed("torch") is None:
        print('nalr bench training needs torch: pip install "nalr[torch]".', file=sys.stderr)
        return REFUSED
    if options.size is not None or options.plot is not None or set(options.only or ()) - set(STUDIES):
        print("nalr bench training: options of nalr bench alone stand before `training`.", file=sys.stderr)
        return REFUSED
    report = bench(options)
    report.show(render(report), as_json=options.json)
    return FAILED if report.wrong else 0


def bench(options: argparse.Namespace) -> Report[Result]:
    """Return what was measured."""
    num_threads = options.threads or threads.get_num_threads()
    effort = QUICK if options.quick else Effort()
    if options.rounds is not None:
        effort = dataclasses.replace(effort, rounds=options.rounds)
    chosen = plan(options.quick, options.only)
    report: Report[Result] = Report(machine.describe(num_threads), [], [], [], list(chosen.left_out))
    with limited_to(num_threads), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Full backward hook is firing")  # the hooks that BackPACK uses
        for study in chosen.studies:
            _measure(study, effort, report)
        if chosen.memory is not None:
            report.facts.extend(memory(chosen.memory))
        if chosen.sampling:
            report.facts.extend(sampling(QUICK_SAMPLING if options.quick else STEPS))
    return report


def _measure(study: Study, effort: Effort, report: Report[Result]) -> None:
    """Add the result of a study to the report, or that its answer is wrong."""
    try:
        job = study.prepare()
    except WrongAnswer as error:
        report.wrong.append(f"{study.title}: {error}")
        return
    report.left_out.extend(job.left_out)
    report.results.append(Result(study, job.variants, interleave(job.variants, effort)))
