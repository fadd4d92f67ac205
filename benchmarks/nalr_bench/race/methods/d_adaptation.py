"""D-Adaptation: a rate from a growing bound of the distance to go (Defazio and Mishchenko 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nalr_bench.race.methods.peer import Peer
from nalr_bench.race.problems.entry import MOMENTUM


@dataclass(frozen=True)
class DAdaptation(Peer):
    """dadaptation's DAdaptSGD, with momentum or without, or DAdaptAdam; lr 1.

    Its authors advise the schedule that one would use anyway, with lr 1.
    """

    package: ClassVar[str] = "dadaptation"
    title: ClassVar[str] = "d-adapt"

    @property
    def name(self) -> str:
        """Return the name, of Adam where the optimizer is AdamW: without weight decay they are one."""
        return super().name.replace("adamw", "adam")

    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the optimizer."""
        import dadaptation

        if self.optimizer == "adamw":
            return dadaptation.DAdaptAdam([parameter], lr=1.0)
        momentum = MOMENTUM if self.optimizer == "momentum" else 0.0
        return dadaptation.DAdaptSGD([parameter], lr=1.0, momentum=momentum)
