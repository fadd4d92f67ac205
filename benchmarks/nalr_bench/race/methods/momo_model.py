"""MoMo: a Polyak step on averages of losses and gradients (Schaipp et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.peer import Peer, Stepping
from nalr_bench.race.methods.tensors import Shared

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MoMo(Peer):
    """momo's Momo (lr 1) or MomoAdam (lr .01), their defaults and what their authors advise.

    Both take the loss to be bounded by 0: the only contender to whom its level says how far there is to go.
    Momo has a momentum of .9 by itself.
    """

    package: ClassVar[str] = "momo"
    title: ClassVar[str] = "momo"

    @property
    def name(self) -> str:
        """Return the names that the authors use."""
        return "momo-adam" if self.optimizer == "adamw" else "momo"

    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the optimizer."""
        import momo

        if self.optimizer == "adamw":
            return momo.MomoAdam([parameter], lr=1e-2)
        return momo.Momo([parameter], lr=1.0)

    def stepping(self, optimizer: Any, shared: Shared, params: Array) -> Stepping:
        """Return how it is stepped: with the loss."""
        return _WithLoss(optimizer, shared, params)


class _WithLoss(Stepping):
    """The loss goes in as a tensor of the parameters' type."""

    def _advance(self, loss: float) -> None:
        self._optimizer.step(loss=self._shared.tensor.new_tensor(loss))
