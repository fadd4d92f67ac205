"""Which methods there are."""

from __future__ import annotations

from importlib.util import find_spec

from nalr_bench.race.methods.adascale import AdaScale
from nalr_bench.race.methods.averaged import AveragedSchedule
from nalr_bench.race.methods.method import Method
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.peers import PEERS
from nalr_bench.race.methods.plateau import Plateau
from nalr_bench.race.methods.published import RULES, Published
from nalr_bench.race.methods.schedules import SHAPES, Scheduled
from nalr_bench.race.problems.entry import OPTIMIZERS

OURS: tuple[Method, ...] = (
    *(
        Nalr(optimizer, horizon, microbatches=microbatches)
        for optimizer in OPTIMIZERS
        for horizon, microbatches in ((True, 1), (True, 2), (False, 1))
        if (optimizer, microbatches) != ("sgd", 2)  # networks are not trained by plain SGD here
    ),
    *(Nalr(optimizer, horizon=False, averaged=True) for optimizer in ("sgd", "adamw")),
)
SCHEDULES: tuple[Method, ...] = (
    *(Scheduled(optimizer, shape) for optimizer in OPTIMIZERS for shape in SHAPES),
    AveragedSchedule("sgd", "constant"),
    Plateau("sgd"),
    Plateau("adamw"),
    AdaScale(),
)
PUBLISHED: tuple[Method, ...] = tuple(Published(rule) for rule in RULES)

SETS: dict[str, tuple[Method, ...]] = {
    "ours": OURS,
    "nalr": OURS,
    "schedules": SCHEDULES,
    "peers": PEERS,
    "published": PUBLISHED,
}
"""What the options know by one name."""

METHODS: dict[str, Method] = {method.name: method for methods in SETS.values() for method in methods}
"""All, by name."""

DISTRIBUTIONS = {"dog": "dog-optimizer", "mechanic_pytorch": "mechanic-pytorch", "momo": "momo-opt"}
"""Packages that are installed under another name than they are imported by."""


def missing(method: Method) -> str | None:
    """Return the package to install before `method` can run; None if all are there."""
    absent = (package for package in method.needs if find_spec(package) is None)
    return next((DISTRIBUTIONS.get(package, package) for package in absent), None)
