"""Who takes part."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from nalr_bench.race.methods.adascale import AdaScale
from nalr_bench.race.methods.averaged import AveragedSchedule
from nalr_bench.race.methods.contender import Contender
from nalr_bench.race.methods.d_adaptation import DAdaptation
from nalr_bench.race.methods.dog_averaged import DoG
from nalr_bench.race.methods.mechanic_tuner import Mechanic
from nalr_bench.race.methods.momo_model import MoMo
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.plateau import Plateau
from nalr_bench.race.methods.prodigy import Prodigy
from nalr_bench.race.methods.published import RULES, Published
from nalr_bench.race.methods.schedule_free import ScheduleFree
from nalr_bench.race.methods.schedules import SHAPES, Scheduled
from nalr_bench.race.problems.entry import OPTIMIZERS


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
