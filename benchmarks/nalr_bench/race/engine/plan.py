"""Which runs make a race."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nalr_bench.race.engine.run import Start
from nalr_bench.race.methods.method import Method
from nalr_bench.race.methods.schedules import Scheduled
from nalr_bench.race.problems.entry import Entry

SCORED = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
"""Base rates over the natural one that make the score; and, for divergence alone, …"""
EXTREME = 10.0
TUNED = (0.01, 0.0215, 0.0464, 0.1, 0.215, 0.464, 1.0, 2.15, 4.64, 10.0, 21.5)
"""What the references, linear and constant, are tuned over: three to a decade."""
REFERENCES = ("linear", "constant")


def factors(contender: Method) -> tuple[float, ...]:
    """Return the factors that `contender` starts from, in ascending order; nan alone if it takes no rate."""
    if not contender.takes_rate:
        return (math.nan,)
    if type(contender) is Scheduled and contender.shape in REFERENCES:
        return tuple(sorted({*SCORED, EXTREME, *TUNED}))
    return (*SCORED, EXTREME)


def plan(
    entries: Iterable[Entry],
    contenders: Sequence[Method],
    seeds: Sequence[int],
    *,
    num_steps: int | None = None,
    offset: float = 0.0,
) -> list[Start]:
    """Return the runs, problem by problem: what is run together is compared with each other."""
    return [
        Start(entry, contender, factor, seed, num_steps, _offset_for(contender, offset))
        for entry in entries
        for contender in contenders
        for factor in factors(contender)
        for seed in seeds
    ]


def _offset_for(contender: Method, offset: float) -> float:
    """Return 0 for schedules, which never look at the loss: their runs need not be made again."""
    return 0.0 if isinstance(contender, Scheduled) else offset
