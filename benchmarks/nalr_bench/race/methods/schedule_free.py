"""Schedule-free SGD and AdamW: averages instead of a schedule (Defazio et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.peer import Peer, Stepping
from nalr_bench.race.methods.schedules import WARM_UP
from nalr_bench.race.methods.tensors import Shared

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ScheduleFree(Peer):
    """schedulefree's SGDScheduleFree (lr 1) or AdamWScheduleFree (lr .0025), warmed up over 5 % of the steps.

    Those rates are the package's defaults. It advises a warm-up, and says that the rate wants tuning.
    """

    package: ClassVar[str] = "schedulefree"
    title: ClassVar[str] = "schedule-free"

    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the optimizer, in training mode."""
        import schedulefree

        kind = schedulefree.SGDScheduleFree if self.optimizer == "sgd" else schedulefree.AdamWScheduleFree
        optimizer = kind([parameter], warmup_steps=round(WARM_UP * num_steps), foreach=False)
        optimizer.train()
        return optimizer

    def stepping(self, optimizer: Any, shared: Shared, params: Array) -> Stepping:
        """Return how it is stepped: gradients at one point, judged at another."""
        return _TwoPoints(optimizer, shared, params)


class _TwoPoints(Stepping):
    """The parameters are where the gradient is wanted; evaluation mode moves them to the average."""

    def judged(self) -> Array:
        trained = self._params.copy()
        self._optimizer.eval()
        average = self._params.copy()
        self._optimizer.train()
        self._params[:] = trained  # `train` brings them back but for rounding; a look must change nothing
        return average
