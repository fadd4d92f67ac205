"""Descriptions of small torch set-ups, and of the steps that a user makes with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn, optim

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "sgd decay": partial(optim.SGD, weight_decay=0.1),
    "momentum": partial(optim.SGD, momentum=0.9),
    "dampened": partial(optim.SGD, momentum=0.9, dampening=0.5),
    "nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
    "sgd maximize": partial(optim.SGD, maximize=True),
    "sgd foreach": partial(optim.SGD, foreach=True),
    "adam": optim.Adam,
    "adam amsgrad": partial(optim.Adam, amsgrad=True),
    "adam maximize": partial(optim.Adam, maximize=True),
    "adamw loop": partial(optim.AdamW, foreach=False),
    "adamw foreach": partial(optim.AdamW, foreach=True),
    "adamw fused": partial(optim.AdamW, fused=True),
    "rmsprop": optim.RMSprop,
    "rmsprop centered": partial(optim.RMSprop, centered=True, momentum=0.5),
    "adagrad": optim.Adagrad,
    "nadam": optim.NAdam,
    "radam": optim.RAdam,
    "adamax": optim.Adamax,
    "adadelta": optim.Adadelta,
    "asgd": optim.ASGD,
}
TENSOR_RATES = ("sgd", "momentum", "adam", "adamw loop")
"""Optimizers that take their rate as a tensor."""
SCHEDULES = ("none", "lambda", "step", "sequential", "chained", "chained inside", "sequential inside")
MODELS = ("linear", "mlp", "embedding", "empty", "empty groups", "quantized")
WRECKS = ("none", "nan", "inf", "zero", "some none", "all none", "tiny", "huge")
MILESTONE = 4
"""Steps of the first schedule in a sequence."""


@dataclass(frozen=True)
class Setup:
    """What a set-up is built from; parts that change in a run are kept up to date."""

    optimizer: str = "sgd"
    model: str = "linear"
    form: str = "scheduler"
    noise: str = "auto"
    schedule: str = "none"
    scaler: bool = False
    rollback: bool = False
    every: int = 1
    total_steps: int | None = None
    lr: float = 0.01
    second: float | None = None  # rate of a second group, as a share of the first
    tensor_rate: bool = False
    bounded: bool = False
    wide: bool = False  # float64
    seed: int = 0
    hidden: int = 4
    added: tuple[float, ...] = ()  # rates of groups added in the run, as shares
    frozen: frozenset[str] = frozenset()

    @property
    def sensible(self) -> bool:
        """Whether torch itself takes these parts together."""
        if self.schedule.endswith("inside") and self.form == "wrapper":
            return False
        if self.wide and self.optimizer in ("nadam", "asgd"):  # torch rounds their state when it loads it
            return False
        return not self.tensor_rate or self.optimizer in TENSOR_RATES

    @property
    def grows(self) -> bool:
        """Whether torch lets another group be added: schedules that start from `base_lrs` do not."""
        chains = self.schedule not in ("lambda", "sequential", "sequential inside")
        return chains and len(self.added) < 2

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.wide else torch.float32


@dataclass(frozen=True)
class Plan:
    """One optimizer step, as a user's loop makes it."""

    seed: int = 0
    backwards: int = 1
    divided: bool = True
    level: float = 1.0  # factor of the loss
    offset: float = 0.0  # added to it
    wreck: str = "none"
    clip: tuple[str, float] | None = None
    closure: bool = False
    loss: float | str | None = "right"  # given to nalr: a number, "right", "last" microbatch, or none
    tensor: bool = False  # whether it is given as a tensor
    order: bool = True  # whether nalr's scheduler steps before the user's


class Net(nn.Module):
    """A small network that grows by modules added in the run."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.kind = setup.model
        if setup.model == "mlp":
            self.body: nn.Module = nn.Sequential(
                nn.Linear(3, setup.hidden), nn.Tanh(), nn.Linear(setup.hidden, 2)
            )
        elif setup.model == "embedding":
            self.body = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
        else:
            self.body = nn.Linear(3, 2)
        if setup.model == "empty":
            self.nothing = nn.Parameter(torch.empty(0))
        if setup.model == "quantized":
            self.packed = nn.Parameter(torch.ones(4, dtype=torch.uint8), requires_grad=False)
        self.extras = nn.ModuleList()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.body(inputs)
        for extra in self.extras:
            outputs = outputs + extra(outputs)
        if self.kind == "empty":
            outputs = outputs + self.nothing.sum()
        return outputs

    def batch(self, seed: int, rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        targets = torch.randn(rows, 2, generator=generator, dtype=torch.float64).to(dtype)
        if self.kind == "embedding":
            return torch.randint(5, (rows,), generator=generator), targets
        return torch.randn(rows, 3, generator=generator, dtype=torch.float64).to(dtype), targets
