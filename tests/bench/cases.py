"""Workloads and results of the tests of `nalr bench`."""

from __future__ import annotations

import math

from nalr_bench.workload import Result, Workload

NAN = math.nan


def workload(*against, group="batch", work="moments", rows=4, dimension=1000, count=2):
    return Workload(group, work, rows, dimension, count, against, lambda: None)


def result(rounds, *against, num_bytes=None, **settings):
    return Result(workload(*against, **settings), num_bytes or dict.fromkeys(rounds, 0), rounds)
