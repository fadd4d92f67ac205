"""One run on a task: a method trains a network in an ordinary PyTorch training loop, from a seed."""

from __future__ import annotations

import math
import time
import warnings
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Notes, Start
from nalr_bench.race.methods.method import Diverged, Training
from nalr_bench.race.methods.tensors import single_threaded_torch
from nalr_bench.race.tasks.task import Samples, Task

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FINAL_POINTS = 10
"""Points of the last part of a run whose mean loss is its final loss."""
RUNAWAY = 1.1
"""A run that ends so many times above its first loss has diverged, finite or not."""


def train(start: Start) -> Result:
    """Make a run on a task; the same for the same start."""
    task = start.entry
    if not isinstance(task, Task):
        raise TypeError(f"`start` must be on a task, got the problem {task.name!r}.")
    num_steps = task.default_steps if start.num_steps is None else start.num_steps
    torch = single_threaded_torch()
    began = time.perf_counter()
    # A run that overflows is a result: what is warned of on the way is not of interest.
    with torch.random.fork_rng(devices=[]), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(start.seed)
        model = task.model()
        training = start.method.begin_training(model, start.base_lr, num_steps)
        first = evaluate(model, task.training_set())
        notes = TrainingNotes(num_steps)
        try:
            _follow(start, task, model, training, notes)
        except (OverflowError, Diverged):
            pass
        final = notes.final_loss()
        diverged = not final <= RUNAWAY * first  # nan included
        with training.judged() as judged:
            held_out = evaluate(judged, task.held_out())
    return Result(
        final_loss=math.inf if diverged else final,
        diverged=diverged,
        solved=None,
        steps=notes.steps,
        losses=notes.losses,
        rates=notes.rates,
        seconds=time.perf_counter() - began,
        held_out=held_out if math.isfinite(held_out) and not diverged else math.inf,
        training=float(np.mean(notes.last)) if notes.last else math.inf,
    )


def _follow(start: Start, task: Task, model: Module, training: Training, notes: TrainingNotes) -> None:
    """Step to the end, or to the first loss of parameters that are not finite."""
    everything = task.training_set()
    model.train()
    for step, samples in enumerate(islice(task.minibatches(start.seed), notes.total), 1):
        loss = _backward(model, samples, start.method.microbatches)
        rate = training.step(loss + start.offset)
        model.zero_grad()
        if step > notes.last_from:
            notes.last.append(float(loss))
        if step in notes.wanted:
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


class TrainingNotes(Notes):
    """Minibatch losses and rates at the checkpoints, and full losses at the end."""

    def __init__(self, total: int) -> None:
        super().__init__(total, FINAL_POINTS)
        self.total = total
        self.full: list[float] = []  # over the fixed training set at `end`
        self.last: list[float] = []  # of minibatches in the last part

    def final_loss(self) -> float:
        """Return the mean of the full losses at `end`; inf if the run did not get there."""
        return float(np.mean(self.full)) if len(self.full) == len(self.end) else math.inf
