"""Published rules of `nalr.policies`, each with its defaults, on the same measurements as our rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr.controller import NoiseAdaptiveLR
from nalr.policies import SASA, VSGD, AdaScale, NoiseScaled, Policy, PolyakStep, WarmupCosine
from nalr_bench.race.methods.method import OnProblems, Stepper
from nalr_bench.race.methods.movers import MOVERS, needs_of
from nalr_bench.race.methods.ours import Controlled
from nalr_bench.race.methods.tensors import require

Array = NDArray[np.float64]

RULES: dict[str, Callable[[], Policy]] = {
    "noise scaled": NoiseScaled,
    "vsgd": VSGD,
    "adascale cosine": lambda: AdaScale(WarmupCosine()),
    "sasa": SASA,
    "polyak step": PolyakStep,
}
"""Those that do not take part already in the package of their authors or in torch."""


@dataclass(frozen=True)
class Published(OnProblems):
    """`NoiseAdaptiveLR` with a published rule as its policy.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    optimizer : str
        "sgd", "momentum" or "adamw".
    """

    rule: str
    optimizer: str = "sgd"

    takes_rate: ClassVar[bool] = True
    tuning_free: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Return the name, as in "vsgd sgd"."""
        return f"{self.rule} {self.optimizer}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Return the packages that must be installed."""
        return needs_of(self.optimizer)

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run."""
        require(self.name, self.needs)
        controller = NoiseAdaptiveLR(base_lr, total_steps=num_steps, policy=RULES[self.rule]())
        mover = MOVERS[self.optimizer](params)
        return Controlled(controller, mover, params, sees_params=self.optimizer != "sgd")
