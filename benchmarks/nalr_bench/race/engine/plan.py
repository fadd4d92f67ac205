"""Which runs make a race."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nalr_bench.race.engine.run import Start
from nalr_bench.race.methods.method import PROBLEM, TASK, Kind, Method
from nalr_bench.race.methods.schedules import Scheduled
from nalr_bench.race.problems.entry import Entry
from nalr_bench.race.tasks.task import Task

SCORED = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
"""Base rates over the natural one that make the score; and, for divergence alone, …"""
EXTREME = 10.0
TUNED = (0.01, 0.0215, 0.0464, 0.1, 0.215, 0.464, 1.0, 2.15, 4.64, 10.0, 21.5)
"""What the references are tuned over on problems: three to a decade."""
REFERENCES: dict[Kind, tuple[str, ...]] = {PROBLEM: ("linear", "constant"), TASK: ("linear",)}
"""The schedules, tuned, that the methods of each optimizer are compared with."""
TUNED_ON_TASKS = (1e-3, 2.15e-3, 4.64e-3, 0.01, 0.0215, 0.0464, 0.1, 0.215, 0.464, 1.0, 2.15, 4.64, 10.0)
"""What all methods that need a sweep are tuned over on tasks: among the factors of the score alone the
largest was the best for some."""


def factors(method: Method, entry: Entry | Task) -> tuple[float, ...]:
    """Return the factors that `method` starts from, in ascending order; nan alone if it takes no rate."""
    if not method.takes_rate:
        return (math.nan,)
    if isinstance(entry, Task):
        return SCORED if method.tuning_free else tuple(sorted({*SCORED, *TUNED_ON_TASKS}))
    if type(method) is Scheduled and method.shape in REFERENCES[PROBLEM]:
        return tuple(sorted({*SCORED, EXTREME, *TUNED}))
    return (*SCORED, EXTREME)


def plan(
    entries: Iterable[Entry | Task],
    methods: Sequence[Method],
    seeds: Sequence[int],
    *,
    num_steps: int | None = None,
    offset: float = 0.0,
) -> list[Start]:
    """Return the runs, entry by entry: what is run together is compared with each other."""
    return [
        Start(entry, method, factor, seed, num_steps, _offset_for(method, offset))
        for entry in entries
        for method in methods
        for factor in factors(method, entry)
        for seed in seeds
    ]


def _offset_for(method: Method, offset: float) -> float:
    """Return 0 for schedules, which never look at the loss: their runs need not be made again."""
    return 0.0 if isinstance(method, Scheduled) else offset
