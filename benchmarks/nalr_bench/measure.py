"""Timing of calls side by side: each round times all of them, so that a disturbance affects all."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from nalr.arrays import threads
from nalr_bench.machine import installed
from nalr_bench.workload import Result, Workload, WrongAnswer

PAUSE = 0.01
SPINNING = "torch"
"""Seconds to wait before each timing where torch takes part: its OpenMP threads spin on for milliseconds."""

FEWEST = 3
"""Least rounds of a call, whatever it costs."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` of at least `block` s, fewer if a call would exceed `budget` s."""

    rounds: int = 15
    block: float = 2e-3
    budget: float = 3.0


QUICK = Effort(rounds=5, budget=0.25)


def measure(workload: Workload, effort: Effort) -> Result:
    """Prepare the work, check the answers, and time it; a `WrongAnswer` names the workload."""
    with limited_to(workload.threads):
        job = workload.prepare()
        try:
            job.check()
        except WrongAnswer as error:
            raise WrongAnswer(f"{workload.title}: {error}") from None
        num_bytes = {name: runnable.num_bytes for name, runnable in job.runnables.items()}
        calls = {name: runnable.call for name, runnable in job.runnables.items()}
        return Result(workload, num_bytes, interleave(calls, effort))


def interleave(
    calls: Mapping[str, Callable[[], Any]], effort: Effort, periods: Mapping[str, int] | None = None
) -> dict[str, list[float]]:
    """Return the seconds per call in each round; nan for the rounds that a costly call sits out.

    The order changes from round to round, so that none always follows the one that empties the caches. A
    multiple of a call's period, 1 by default, is timed together. Garbage is collected between rounds.
    """
    timers = {name: _Timer(call, effort, (periods or {}).get(name, 1)) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    order, shuffled = list(timers), random.Random(0)
    with _no_collection():
        for k in range(effort.rounds):
            shuffled.shuffle(order)
            for name in order:
                if SPINNING in timers:
                    time.sleep(PAUSE)
                seconds[name].append(timers[name].time() if k < timers[name].rounds else math.nan)
            gc.collect()
    return seconds


class _Timer:
    """Times one call; a trial decides how many calls are timed together, and in how many rounds."""

    def __init__(self, call: Callable[[], Any], effort: Effort, period: int) -> None:
        self._call, self._number = call, period
        once = max(self.time(), 1e-9)
        self._number = period * math.ceil(max(effort.block / once, 1.0) / period)
        affordable = int(effort.budget / (once * (self._number + 1)))
        self.rounds = max(min(effort.rounds, affordable), min(effort.rounds, FEWEST))

    def time(self) -> float:
        """Return the seconds per call, after one call that is not timed: others have emptied the caches."""
        call = self._call
        call()
        began = time.perf_counter()
        for _ in range(self._number):
            call()
        return (time.perf_counter() - began) / self._number


@contextmanager
def limited_to(count: int) -> Iterator[None]:
    """Let the kernels and torch use `count` threads; afterwards the kernels use the default."""
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
    """Collect no garbage but on request, which then looks at new objects alone."""
    was_on = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
