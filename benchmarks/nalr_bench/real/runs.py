"""One real run: a method on a task, from a seed, in the loop that every tutorial has."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nalr_bench.race.methods.method import Diverged, Method, Training
from nalr_bench.race.methods.tensors import single_threaded_torch
from nalr_bench.real.task import Samples, Task

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FINAL_SHARE = 0.05
"""The final loss is the mean over this last part of the steps, taken at …"""
FINAL_POINTS = 10
"""… this many of them."""
RUNAWAY = 1.1
"""A run that ends so many times above its first loss has diverged, finite or not."""
CHECKPOINTS = 60
"""Points of the curve of rates, half of them evenly spread and half geometrically."""


class Key(NamedTuple):
    """Which run it is; `lr` is None for methods that take no base rate."""

    task: str
    method: str
    lr: float | None
    seed: int


class Result(NamedTuple):
    """How one run went: plain numbers, so that a cache can hold it.

    Attributes
    ----------
    final_loss : float
        The score: mean loss over the fixed training set, averaged over the last 5 % of the steps; inf if the
        run diverged.
    held_out : float
        Mean loss over the held-out set after the last step.
    training : float
        Mean loss of the minibatches of the last 5 % of the steps.
    diverged : bool
        Whether something stopped being finite, or the final loss is 10 % above the first one.
    steps : list of int
        Steps made before each checkpoint, growing.
    losses, rates : list of float
        The minibatch's loss and the learning rate there; rates are nan for methods that have none.
    seconds : float
        What it took.
    """

    final_loss: float
    held_out: float
    training: float
    diverged: bool
    steps: list[int]
    losses: list[float]
    rates: list[float]
    seconds: float


@dataclass(frozen=True)
class Start:
    """A run to be made: what worker processes are given."""

    task: Task
    method: Method
    lr: float | None
    seed: int
    num_steps: int

    @property
    def key(self) -> Key:
        """Return which run this is."""
        return Key(self.task.name, self.method.name, self.lr, self.seed)


def run(start: Start) -> Result:
    """Make the run; the same for the same start."""
    torch = single_threaded_torch()
    began = time.perf_counter()
    # A run that overflows is a result, whatever is said about it on the way.
    with torch.random.fork_rng(devices=[]), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(start.seed)
        model = start.task.model()
        training = start.method.begin_training(model, 1.0 if start.lr is None else start.lr, start.num_steps)
        first = evaluate(model, start.task.training_set())
        notes = _Notes(start.num_steps)
        try:
            _follow(start, model, training, notes)
        except (OverflowError, Diverged):
            pass
        final = float(np.mean(notes.full)) if len(notes.full) == len(notes.end) else math.inf
        diverged = not final <= RUNAWAY * first  # nan included
        with training.judged() as judged:
            held_out = evaluate(judged, start.task.held_out())
    return Result(
        final_loss=math.inf if diverged else final,
        held_out=held_out if math.isfinite(held_out) and not diverged else math.inf,
        training=float(np.mean(notes.last)) if notes.last else math.inf,
        diverged=diverged,
        steps=notes.steps,
        losses=notes.losses,
        rates=notes.rates,
        seconds=time.perf_counter() - began,
    )


def _follow(start: Start, model: Module, training: Training, notes: _Notes) -> None:
    """Step to the end, or to the first loss of parameters that are not finite."""
    everything = start.task.training_set()
    model.train()
    for step, samples in enumerate(islice(start.task.minibatches(start.seed), start.num_steps), 1):
        loss = _backward(model, samples, start.method.microbatches)
        rate = training.step(loss)
        model.zero_grad()
        notes.add(step, float(loss), rate)
        if step in notes.end:
            with training.judged() as judged:
                notes.full.append(evaluate(judged, everything))
            model.train()
        if not math.isfinite(float(loss)) and not _finite(model):
            return


def _backward(model: Module, samples: Samples, microbatches: int) -> Tensor:
    """Leave the gradient of the mean loss, in as many backward passes, and return that loss."""
    from torch.nn.functional import cross_entropy

    losses = []
    for inputs, targets in zip(*(each.chunk(microbatches) for each in samples), strict=True):
        logits = model(inputs)
        loss = cross_entropy(logits.flatten(0, -2), targets.flatten()) * (len(inputs) / len(samples.inputs))
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    total: Tensor = sum(losses[1:], start=losses[0])
    return total


def evaluate(model: Module, samples: Samples) -> float:
    """Return the mean loss in nats."""
    import torch
    from torch.nn.functional import cross_entropy

    model.eval()
    with torch.no_grad():
        return float(cross_entropy(model(samples.inputs).flatten(0, -2), samples.targets.flatten()))


def _finite(model: Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())


class _Notes:
    """What is written down on the way."""

    def __init__(self, total: int) -> None:
        self._last_from = total - max(1, round(FINAL_SHARE * total))
        points = min(FINAL_POINTS, total - self._last_from)
        self.end = set(np.linspace(self._last_from + 1, total, points).round().astype(int).tolist())
        self._wanted = {
            *np.linspace(1, total, CHECKPOINTS // 2).round().astype(int).tolist(),
            *np.geomspace(1, total, CHECKPOINTS // 2).round().astype(int).tolist(),
        }
        self.full: list[float] = []  # losses over the fixed training set at `end`
        self.last: list[float] = []  # minibatches' losses of the last part
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.rates: list[float] = []

    def add(self, step: int, loss: float, rate: float) -> None:
        if step > self._last_from:
            self.last.append(loss)
        if step in self._wanted:
            self.steps.append(step)
            self.losses.append(loss)
            self.rates.append(rate)
