"""DoG: the distance gone over the gradients met, judged by an average (Ivgi et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.methods.peer import Peer, Stepping
from nalr_bench.race.methods.tensors import Shared

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DoG(Peer):
    """dog's DoG with its PolynomialDecayAverager, as its authors insist; both at their defaults."""

    package: ClassVar[str] = "dog"
    title: ClassVar[str] = "dog"

    @property
    def name(self) -> str:
        """Return the title: there is only one."""
        return self.title

    def make(self, parameter: Any, num_steps: int) -> Any:
        """Return the optimizer."""
        import dog

        return dog.DoG([parameter])

    def stepping(self, optimizer: Any, shared: Shared, params: Array) -> Stepping:
        """Return how it is stepped: with its average behind it."""
        return _Averaged(optimizer, shared, params)


class _Averaged(Stepping):
    """The averager wants a module: one with the tensor as its only parameter."""

    def __init__(self, optimizer: Any, shared: Shared, params: Array) -> None:
        import dog
        from torch import nn

        super().__init__(optimizer, shared, params)
        parameter = nn.Parameter(shared.tensor, requires_grad=False)  # the same memory
        self._averager: Any = dog.PolynomialDecayAverager(nn.ParameterList([parameter]))

    def _advance(self, loss: float) -> None:
        self._optimizer.step()
        self._averager.step()

    def judged(self) -> Array:
        average: Array = self._averager.averaged_model[0].detach().numpy()
        return average
