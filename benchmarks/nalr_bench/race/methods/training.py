"""Networks under torch's own optimizers, at rates that were fixed before the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nalr_bench.race.problems.entry import MOMENTUM

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def torch_optimizer(optimizer: str, model: Module, lr: float) -> Any:
    """Return torch's SGD, with momentum or without, or AdamW: their defaults, but no weight decay."""
    import torch

    if optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM if optimizer == "momentum" else 0.0)


class PlannedTraining:
    """An optimizer at the given rates, one a step, or at its own if there are none."""

    def __init__(self, model: Module, optimizer: Any, rates: Iterable[float] = ()) -> None:
        self._model, self._optimizer, self._rates = model, optimizer, iter(rates)

    def step(self, loss: Tensor) -> float:
        """Take a step."""
        group = self._optimizer.param_groups[0]
        group["lr"] = rate = next(self._rates, group["lr"])
        self._advance(loss)
        return float(rate)

    def _advance(self, loss: Tensor) -> None:
        self._optimizer.step()

    @contextmanager
    def judged(self) -> Iterator[Module]:
        """Give the model as it is."""
        yield self._model
