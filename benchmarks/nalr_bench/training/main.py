"""``nalr bench training``: measure and report."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import warnings

from nalr.arrays import threads
from nalr_bench import machine
from nalr_bench.measure import Effort, interleave, limited_to
from nalr_bench.report import Report
from nalr_bench.training.memory import memory
from nalr_bench.training.options import STUDIES
from nalr_bench.training.plan import plan
from nalr_bench.training.report import render
from nalr_bench.training.sampling import STEPS, sampling
from nalr_bench.training.study import Result, Study
from nalr_bench.workload import WrongAnswer

FAILED, REFUSED = 1, 2
FULL, QUICK = Effort(60, 0.1, 90.0), Effort(6, 0.03, 3.0)
QUICK_SAMPLING = 60


def run(options: argparse.Namespace) -> int:
    """Measure and print the report; return 0 if all answers agree, else 1.

    A missed figure is marked in the table and is no error.
    """
    if machine.installed("torch") is None:
        print('nalr bench training needs torch: pip install "nalr[torch]".', file=sys.stderr)
        return REFUSED
    if options.size is not None or options.plot is not None or set(options.only or ()) - set(STUDIES):
        print("nalr bench training: options before `training` that it does not have.", file=sys.stderr)
        return REFUSED
    report = bench(options)
    report.show(render(report), as_json=options.json)
    return FAILED if report.wrong else 0


def bench(options: argparse.Namespace) -> Report[Result]:
    """Return what was measured."""
    num_threads = options.threads or threads.get_num_threads()
    effort = QUICK if options.quick else FULL
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
    calls = {each.name: each.step for each in job.variants}
    periods = {each.name: each.period for each in job.variants}
    report.results.append(Result(study, job.variants, interleave(calls, effort, periods)))
