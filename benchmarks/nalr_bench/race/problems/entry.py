"""A problem entered for the race: which group it judges, and what rates are natural to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nalr_bench.race.problems.problem import Problem

TUNING, HELD_OUT = "tuning", "held-out"
GROUPS = (TUNING, HELD_OUT)
"""Constants of nalr are chosen on the first group alone; the second shows what the choice is worth."""

OPTIMIZERS = ("sgd", "momentum", "adamw")
MOMENTUM = 0.9


@dataclass(frozen=True)
class Entry:
    """One problem of the race.

    Attributes
    ----------
    name : str
        The problem's name, by which cache, tables and options know it.
    group : str
        "tuning" or "held-out".
    family : str
        What it stands for: "quadratic", "rugged", "valley", "learning", "network" or "changing".
    make : callable
        Number of steps, or None for the problem's own, to a fresh problem. Must pickle: a module's function,
        or a partial of one.
    natural_sgd : float
        The largest rate at which plain SGD is stable near the start, roughly: the scale of b.
    natural_adamw : float
        A tenth of the distance that a typical parameter has to go: the scale of b for steps of length one.
    judged_escape : bool
        Whether it is one of the rugged problems whose outcome is solved or not.
    """

    name: str
    group: str
    family: str
    make: Callable[[int | None], Problem]
    natural_sgd: float
    natural_adamw: float
    judged_escape: bool = False

    def natural(self, optimizer: str) -> float:
        """Return the rate natural to `optimizer` here: b = 1."""
        if optimizer == "adamw":
            return self.natural_adamw
        return self.natural_sgd * (1.0 - MOMENTUM if optimizer == "momentum" else 1.0)

    def base_lr(self, optimizer: str, factor: float) -> float:
        """Return the base rate that is `factor` times the natural one."""
        return factor * self.natural(optimizer)

    @property
    def module(self) -> str:
        """Return the module whose code makes the problem."""
        return str(self._maker.__module__)

    @property
    def settings(self) -> tuple[Any, ...]:
        """Return what a run depends on besides code and rate: neither the group nor the family."""
        maker = self._maker
        return (
            getattr(maker, "__qualname__", repr(maker)),
            repr(getattr(self.make, "args", ())),
            repr(getattr(self.make, "keywords", {})),
            self.name,
        )

    @property
    def _maker(self) -> Any:
        return getattr(self.make, "func", self.make)
