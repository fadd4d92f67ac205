"""Mechanic: a tuner of the scale around any optimizer and schedule (Cutkosky et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nalr_bench.race.methods.peer import Peer
from nalr_bench.race.problems.entry import MOMENTUM


@dataclass(frozen=True)
class Mechanic(Peer):
    """mechanic_pytorch's `mechanize` around torch's SGD, with momentum or without, or AdamW; lr 1.

    Its authors advise any schedule that one would use anyway, with any lr, 1 for instance. Their default
    `s_decay` of .01 stays: it belongs to the tuner.
    """

    package: ClassVar[str] = "mechanic_pytorch"
    title: ClassVar[str] = "mechanic"

    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the optimizer."""
        import torch
        from mechanic_pytorch import mechanize

        if self.optimizer == "adamw":
            return mechanize(torch.optim.AdamW)([parameter], lr=1.0, weight_decay=0.0, foreach=False)
        momentum = MOMENTUM if self.optimizer == "momentum" else 0.0
        return mechanize(torch.optim.SGD)([parameter], lr=1.0, momentum=momentum, foreach=False)
