"""What trains: the contract of all methods, and the two optimizers that they are compared with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

MOMENTUM = 0.9


class Training(Protocol):
    """One run's optimizer, with whatever sets its rate."""

    def step(self, loss: Tensor) -> float:
        """Step on the gradients that are there; return the rate of the step, nan if there is none.

        Raises
        ------
        Diverged
            If the method itself gives up.
        """

    @contextmanager
    def judged(self) -> Iterator[Module]:
        """Hold the model at what the method hands out; the run goes on as if nobody had looked."""


class Method(Protocol):
    """A way to train: a frozen dataclass, so that its `repr` says all that a run depends on."""

    @property
    def optimizer(self) -> str:
        """Which family it is compared in: "adamw" or "momentum"."""

    @property
    def name(self) -> str:
        """Its name in tables and options, with the optimizer's in it."""

    @property
    def takes_rate(self) -> bool:
        """Whether it starts from a base rate."""

    @property
    def tuning_free(self) -> bool:
        """Whether one runs it without a sweep."""

    @property
    def microbatches(self) -> int:
        """Backward passes a step, each over its share of the minibatch."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The packages that must be there, as imported."""

    def begin(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run; `base_lr` is 1 for those that take none."""


def make_optimizer(optimizer: str, model: Module, lr: float) -> Any:
    """Return torch's AdamW or SGD with momentum: their defaults, but no weight decay, as peers have none."""
    import torch

    if optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)


class Stepping:
    """An optimizer and a scheduler of torch, or none, that see no loss; the model is judged as it is."""

    def __init__(self, model: Module, optimizer: Any, scheduler: Any = None) -> None:
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler

    def step(self, loss: Tensor) -> float:
        """Step both."""
        rate = float(self.optimizer.param_groups[0].get("lr", math.nan))
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        return rate

    @contextmanager
    def judged(self) -> Iterator[Module]:
        """Hold the model."""
        yield self.model


def scheduler_of(optimizer: Any, factors: list[float]) -> Any:
    """Return torch's scheduler that multiplies the optimizer's rate by these, step by step."""
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda step: factors[min(step, len(factors) - 1)])
