"""Timing of rivals side by side: each round times all of them, so that what disturbs one disturbs all."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nalr.arrays import threads
from nalr_bench.machine import installed
from nalr_bench.workload import Result, Runnable, Workload, WrongAnswer

PAUSE = 0.01
SPINNING = "torch"
"""Seconds before a time is taken where torch takes part: threads of its OpenMP spin on for milliseconds after
their work, and would take a core from whoever comes next."""

SHORTEST = 2e-3
"""Seconds to be timed at least: shorter calls are repeated, lest the clock and the scheduler tell."""

BRIEF = 0.02
"""Seconds below which a call is made once more before the clock starts: its rival emptied the caches."""

FEWEST = 3


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of each runnable, fewer (3 at least) for what would exceed `budget` s."""

    rounds: int = 15
    budget: float = 3.0


QUICK = Effort(5, 0.25)


def measure(workload: Workload, effort: Effort) -> Result:
    """Prepare the work, assert that all agree, and time them.

    Raises
    ------
    WrongAnswer
        If they do not agree; the message names the workload.
    """
    with limited_to(workload.threads):
        job = workload.prepare()
        try:
            job.check()
        except WrongAnswer as error:
            raise WrongAnswer(f"{workload.title}: {error}") from None
        num_bytes = {name: runnable.num_bytes for name, runnable in job.runnables.items()}
        return Result(workload, num_bytes, interleave(job.runnables, effort))


def interleave(runnables: dict[str, Runnable], effort: Effort) -> dict[str, list[float]]:
    """Return the seconds a call of each runnable in each round; nan for the rounds that it sits out."""
    timers = {name: _Timer(runnable.call, effort) for name, runnable in runnables.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    with _no_collection():
        for k in range(effort.rounds):
            for name, timer in timers.items():
                if SPINNING in timers:
                    time.sleep(PAUSE)
                seconds[name].append(timer.time() if k < timer.rounds else math.nan)
    return seconds


class _Timer:
    """Times one runnable: how many calls at once, and in how many rounds, it finds out by two trials."""

    def __init__(self, call: Callable[[], Any], effort: Effort) -> None:
        self.call = call
        self.number = 1
        once = self.time()
        if once < SHORTEST:  # the first may have been slow for many reasons
            once = min(once, self.time())
        self.warm = once < BRIEF
        self.number = max(1, math.ceil(SHORTEST / max(once, 1e-9)))
        affordable = int(effort.budget / (once * (self.number + self.warm)))
        self.rounds = max(min(effort.rounds, affordable), min(effort.rounds, FEWEST))

    warm = False

    def time(self) -> float:
        """Return the seconds a call takes."""
        call = self.call
        if self.warm:
            call()
        began = time.perf_counter()
        for _ in range(self.number):
            call()
        return (time.perf_counter() - began) / self.number


@contextmanager
def limited_to(count: int) -> Iterator[None]:
    """Let the kernels and torch use `count` threads; afterwards the kernels as many as by default."""
    torch = installed("torch")
    before = None if torch is None else torch.get_num_threads()
    threads.set_num_threads(count)
    if torch is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        threads.set_num_threads(None)
        if torch is not None:
            torch.set_num_threads(before)


@contextmanager
def _no_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
