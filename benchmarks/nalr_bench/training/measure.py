"""Timing of training steps side by side: every round times every variant, each time in another order."""

from __future__ import annotations

import gc
import math
import random
import time
from dataclasses import dataclass

from nalr_bench.training.study import Step, Variant

FEWEST = 3
"""Rounds of a variant at least, whatever it costs."""


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes
    ----------
    rounds : int
        Of each variant.
    block : float
        Seconds that a variant is timed for in one round, at least one step: a single one tells little.
    budget : float
        Seconds of a variant in all: dear ones get fewer rounds.
    """

    rounds: int = 60
    block: float = 0.1
    budget: float = 90.0


QUICK = Effort(rounds=6, block=0.03, budget=3.0)


def interleave(variants: list[Variant], effort: Effort) -> dict[str, list[float]]:
    """Return the seconds a step of each variant in each round; nan for the rounds that it sits out.

    In each round the order is another, so that none always follows the one that empties the caches; each
    makes a step before its clock starts. Garbage is collected between rounds alone.
    """
    timers = {each.name: _Timer(each, effort) for each in variants}
    seconds: dict[str, list[float]] = {each.name: [] for each in variants}
    order, shuffled = list(timers), random.Random(0)
    was_on = gc.isenabled()
    gc.disable()
    try:
        for k in range(effort.rounds):
            shuffled.shuffle(order)
            for name in order:
                timer = timers[name]
                seconds[name].append(timer.time() if k < timer.rounds else math.nan)
            gc.collect()
    finally:
        if was_on:
            gc.enable()
    return seconds


class _Timer:
    """Times one variant: how many steps at once, and in how many rounds, it finds out by a trial."""

    def __init__(self, variant: Variant, effort: Effort) -> None:
        self._step = variant.step
        _seconds(self._step, 1)
        once = _seconds(self._step, variant.period) / variant.period
        self._number = max(variant.period, math.ceil(effort.block / max(once, 1e-9)))
        affordable = int(effort.budget / (once * (self._number + 1)))
        self.rounds = max(min(effort.rounds, affordable), min(effort.rounds, FEWEST))

    def time(self) -> float:
        """Return the seconds a step takes."""
        self._step()
        return _seconds(self._step, self._number) / self._number


def _seconds(step: Step, number: int) -> float:
    began = time.perf_counter()
    for _ in range(number):
        step()
    return time.perf_counter() - began
