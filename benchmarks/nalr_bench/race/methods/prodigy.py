"""Prodigy: D-Adaptation of Adam that grows faster (Mishchenko and Defazio 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nalr_bench.race.methods.peer import Peer


@dataclass(frozen=True)
class Prodigy(Peer):
    """prodigyopt's Prodigy, lr 1.

    Its authors advise no schedule or a cosine, and caution against a warm-up: here is none.
    """

    package: ClassVar[str] = "prodigyopt"
    title: ClassVar[str] = "prodigy"

    @property
    def name(self) -> str:
        """Return the title and the schedule, if there is one."""
        return self.title if self.shape == "constant" else f"{self.title} {self.shape}"

    @property
    def warm_up(self) -> float:
        """Return 0."""
        return 0.0

    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the optimizer."""
        import prodigyopt

        return prodigyopt.Prodigy([parameter], lr=1.0)
