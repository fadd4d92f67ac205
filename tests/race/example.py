"""A race of two problems, two seeds and four methods that can be worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.problems.entry import Entry


@dataclass(frozen=True)
class Facts:
    name: str
    optimizer: str = "sgd"
    takes_rate: bool = True
    tuning_free: bool = False


LINEAR, CONSTANT = Facts("sgd linear"), Facts("sgd constant")
OURS, FREE = Facts("ours", tuning_free=True), Facts("free", takes_rate=False, tuning_free=True)
FIELD = (LINEAR, CONSTANT, OURS, FREE)


def entry(name, group="tuning", judged_escape=False):
    return Entry(name, group, "quadratic", len, 1.0, 1.0, judged_escape)


ENTRIES = [entry("bowl"), entry("valley", "held-out")]
EPSILONS = {"bowl": 1.0, "valley": 0.5}


def result(loss, *, solved=None, curve=((1,), (5.0,))):
    steps, losses = map(list, curve)
    return Result(loss, math.isinf(loss), solved, steps, losses, [0.1] * len(steps), 0.01)


def runs(problem, method, losses, **settings):
    """Return results from {factor: loss of each seed}."""
    return {
        Key(problem, method, factor, seed): result(loss, **settings)
        for factor, each in losses.items()
        for seed, loss in enumerate(each)
    }


# By hand, loss + ε on the bowl: linear 4·9 → 6 at 0.1, 2·8 → 4 at 1 (the best), constant 8·8 → 8.
# On the valley: linear 1·1 → 1 at 0.1 (the best), 2·2 → 2 at 1; constant 1·4 → 2.
SCHEDULES = {
    **runs("bowl", "sgd linear", {0.1: [3, 8], 1.0: [1, 7]}),
    **runs("bowl", "sgd constant", {1.0: [7, 7], 10.0: [9, math.inf]}),
    **runs("valley", "sgd linear", {0.1: [0.5, 0.5], 1.0: [1.5, 1.5]}),
    **runs("valley", "sgd constant", {0.1: [0.5, 3.5]}),
}
EXAMPLE = {
    **SCHEDULES,
    **runs("bowl", "ours", {0.1: [3, 3], 1.0: [7, 31], 10.0: [math.inf, 1]}),  # regrets 1, 4 at 0.1 and 1
    **runs("valley", "ours", {0.1: [1.5, 7.5], 1.0: [0, 0]}),  # 4, ½
    **runs("bowl", "free", {math.nan: [0, 0]}),  # ¼
    **runs("valley", "free", {math.nan: [0.5, 3.5]}),  # 2
}
