"""The workloads of `nalr bench` at moderate sizes: the answer first, then ours and rivals in a group."""

from __future__ import annotations

import functools

import pytest

from nalr import get_num_threads
from nalr_bench.kernels.plan import plan
from nalr_bench.machine import available_memory
from nalr_bench.measure import limited_to
from nalr_bench.workload import OURS

SIZES = [10**4, 10**6]
WORKLOADS = plan(available_memory(), get_num_threads(), quick=True, sizes=SIZES).workloads
CASES = [
    pytest.param(
        work,
        name,
        marks=pytest.mark.benchmark(group=work.title),
        id=f"{work.title}: {name}".replace("×", "x").replace(" ", "_"),
    )
    for work in WORKLOADS
    for name in (OURS, *(each.rival for each in work.against))
]


@functools.lru_cache(maxsize=1)  # cases of a workload are adjacent, and the largest need much memory
def checked(work):
    job = work.prepare()
    job.check()
    return job


@pytest.mark.parametrize(("work", "name"), CASES)
def test_kernel(benchmark, work, name):
    with limited_to(work.threads):
        job = checked(work)
        if name not in job.runnables:
            pytest.skip(f"{name} is not installed")
        benchmark(job.runnables[name].call)
