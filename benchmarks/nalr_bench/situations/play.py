"""The situations, and one run of one of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

import nalr.torch
from nalr_bench.situations.tasks import (
    Contrast,
    Energy,
    Game,
    Likelihood,
    PolicyGradient,
    Regression,
    Task,
)

LOST = 1e9
"""Distance of a run that is not finite at its end."""


@dataclass(frozen=True)
class Situation:
    """A task, and how much smaller the rate is that a hand would set for SGD there."""

    make: Callable[[int], Task]
    scale: float = 1.0
    maximize: bool = False


def _times(factor: float) -> Situation:
    return Situation(partial(Regression, change=partial(torch.mul, other=factor)), max(factor, 1.0))


def _plus(constant: float) -> Situation:
    return Situation(partial(Regression, change=partial(torch.add, other=constant)))


SITUATIONS = {
    "nothing": Situation(Regression),
    **{f"times {factor:g}": _times(factor) for factor in (3.0, 20.0, 100.0, 1e4, 0.05)},
    **{f"plus {constant:g}": _plus(constant) for constant in (100.0, -100.0, 1e4)},
    "other target": Situation(partial(Regression, other_target=True)),
    "second loss": Situation(partial(Regression, auxiliary=True), 3.0),
    "policy gradient": Situation(PolicyGradient),
    "reward": Situation(partial(PolicyGradient, advantages=False)),
    "reward maximized": Situation(partial(PolicyGradient, advantages=False), maximize=True),
    "contrast": Situation(Contrast),
    "energy": Situation(Energy),
    "likelihood": Situation(Likelihood),
    "two players": Situation(Game),
}

OPTIMIZERS: dict[str, tuple[Any, dict[str, Any], float]] = {
    "sgd": (torch.optim.SGD, {}, 0.01),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}, 0.003),
    "adamw": (torch.optim.AdamW, {"betas": (0.5, 0.999)}, 0.001),
}
"""Class, settings, and the rate that a hand would set; Adam's steps do not grow with the loss."""


@dataclass(frozen=True)
class Play:
    """One run; without `adaptive` at the constant rate, else with nalr around it."""

    situation: str
    optimizer: str
    seed: int
    num_steps: int
    adaptive: bool
    horizon: bool = False
    base: float = 1.0


def play(run: Play) -> float:
    """Return how far from its goal a run ends."""
    situation, (kind, settings, lr) = SITUATIONS[run.situation], OPTIMIZERS[run.optimizer]
    lr = lr if run.optimizer == "adamw" else lr / situation.scale
    torch.manual_seed(run.seed)
    torch.set_num_threads(1)
    task = situation.make(run.num_steps)
    if situation.maximize:
        settings = {**settings, "maximize": True}
    base = run.base * lr if run.adaptive else lr
    optimizers = [kind(player.parameters(), lr=base, **settings) for player in task.players]
    horizon = run.num_steps if run.horizon else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is tested; here counts where a run ends
        watched = optimizers if run.adaptive else []
        schedulers = [nalr.torch.NoiseAdaptiveLR(each, total_steps=horizon) for each in watched]
        for step in range(run.num_steps):
            for player, loss in task.turns(step):
                loss = -loss if situation.maximize else loss
                optimizers[player].zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizers[player].step()
                if run.adaptive:
                    schedulers[player].step(loss)
    distance = task.distance()
    return distance if math.isfinite(distance) else LOST
