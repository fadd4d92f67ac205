"""Who takes part."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from nalr.bench.race.contender import Contender
from nalr.bench.race.contenders.adascale import AdaScale
from nalr.bench.race.contenders.averaged import AveragedSchedule
from nalr.bench.race.contenders.d_adaptation import DAdaptation
from nalr.bench.race.contenders.dog_averaged import DoG
from nalr.bench.race.contenders.mechanic_tuner import Mechanic
from nalr.bench.race.contenders.momo_model import MoMo
from nalr.bench.race.contenders.ours import Nalr
from nalr.bench.race.contenders.plateau import Plateau
from nalr.bench.race.contenders.prodigy import Prodigy
from nalr.bench.race.contenders.published import RULES, Published
from nalr.bench.race.contenders.schedule_free import ScheduleFree
from nalr.bench.race.contenders.schedules import SHAPES, Scheduled
from nalr.bench.race.entry import OPTIMIZERS


class Entrant(Contender, Protocol):
    """A contender that says what it needs."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The packages that must be there, as imported."""


OURS: tuple[Entrant, ...] = (
    *(Nalr(optimizer, horizon) for optimizer in OPTIMIZERS for horizon in (True, False)),
    Nalr("sgd", horizon=False, averaged=True),
    Nalr("adamw", horizon=False, averaged=True),
)
SCHEDULES: tuple[Entrant, ...] = (
    *(Scheduled(optimizer, shape) for optimizer in OPTIMIZERS for shape in SHAPES),
    AveragedSchedule("sgd", "constant"),
    Plateau("sgd"),
    Plateau("adamw"),
    AdaScale(),
)
PUBLISHED: tuple[Entrant, ...] = tuple(Published(rule) for rule in RULES)
PEERS: tuple[Entrant, ...] = (
    ScheduleFree("sgd"),
    DAdaptation("sgd"),
    DAdaptation("sgd", "linear"),
    DoG("sgd"),
    Mechanic("sgd", "linear"),
    MoMo("sgd"),
    DAdaptation("momentum", "linear"),
    Mechanic("momentum", "linear"),
    ScheduleFree("adamw"),
    DAdaptation("adamw", "linear"),
    Prodigy("adamw"),
    Prodigy("adamw", "cosine"),
    Mechanic("adamw", "linear"),
    MoMo("adamw"),
)
ENTRANTS = (*OURS, *SCHEDULES, *PEERS, *PUBLISHED)

CONTENDERS: dict[str, Contender] = {entrant.name: entrant for entrant in ENTRANTS}
"""By name."""

DISTRIBUTIONS = {"dog": "dog-optimizer", "mechanic_pytorch": "mechanic-pytorch", "momo": "momo-opt"}
"""Packages that are installed under another name than they are imported by."""


def missing() -> dict[str, str]:
    """Return the contenders that cannot run here, by name, with the package to install for each."""
    return {
        entrant.name: DISTRIBUTIONS.get(package, package)
        for entrant in ENTRANTS
        for package in reversed(entrant.needs)
        if find_spec(package) is None
    }
