"""nalr's own learning rate as a rule of the bench."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.controller import NoiseAdaptiveLR
from nalr_bench.schedules import RateSource

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Adaptive:
    """`NoiseAdaptiveLR` with its defaults, told the length of the run or not.

    Parameters
    ----------
    base_lr : float
        The rate to start from, positive.
    horizon : bool
        Whether it is given `total_steps`.
    """

    base_lr: float
    horizon: bool = True

    def __post_init__(self) -> None:
        _checks.positive("base_lr", self.base_lr)

    def begin(self, num_steps: int) -> RateSource:
        """Return the source of one run."""
        return _Controlled(NoiseAdaptiveLR(self.base_lr, total_steps=num_steps if self.horizon else None))


class _Controlled:
    """A controller that sees every minibatch."""

    def __init__(self, controller: NoiseAdaptiveLR) -> None:
        self._controller = controller

    def rate(self, rows: Array, loss: float) -> float:
        return float(self._controller.get_adapted_lr(rows, loss))

    def history(self) -> dict[str, Any]:
        return dict(self._controller.history.to_dict())
