"""Who takes part."""

from __future__ import annotations

from importlib.util import find_spec

from nalr.bench.race.contender import Contender
from nalr.bench.race.contenders.ours import Nalr
from nalr.bench.race.contenders.schedules import Scheduled
from nalr.bench.race.entry import OPTIMIZERS

SHAPES = ("constant", "cosine", "linear")


def _all() -> list[Contender]:
    """Return the contenders, optimizer by optimizer: ours, schedules, peers."""
    found: list[Contender] = []
    for optimizer in OPTIMIZERS:
        found += [Nalr(optimizer, horizon) for horizon in (True, False)]
        found += [Scheduled(optimizer, shape) for shape in SHAPES]
    return found


CONTENDERS: dict[str, Contender] = {contender.name: contender for contender in _all()}
"""By name."""


def missing() -> dict[str, str]:
    """Return the contenders that cannot run here, by name, with the package that is not installed."""
    needs = {name: "torch" for name, contender in CONTENDERS.items() if contender.optimizer != "sgd"}
    return {name: package for name, package in needs.items() if find_spec(package) is None}
