"""One run on a problem: a method on it, from a seed."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.methods.method import Diverged, Method, Stepper
from nalr_bench.race.problems.entry import Entry
from nalr_bench.race.problems.problem import Problem
from nalr_bench.race.tasks.task import Task

Array = NDArray[np.float64]

FINAL_SHARE = 0.05
"""The final loss is the mean over this last part of the steps, taken at …"""
FINAL_POINTS = 20
"""… this many of them: on smooth curves the same to a percent as every step, at a fifth of the time."""
CHECKPOINTS = 60
"""Points of the curves that are kept, half of them evenly spread and half geometrically."""
RUNAWAY = 1e3
"""An outcome this many times worse than the start has diverged, finite or not."""


@dataclass(frozen=True)
class Start:
    """A run to be made: what worker processes are given.

    Attributes
    ----------
    entry : Entry or Task
        What it runs on.
    method : Method
        The method.
    factor : float
        Its base rate over the natural one; nan where it takes none.
    seed : int
        Where all the randomness comes from.
    num_steps : int or None
        Length of the run; None for that of the entry.
    offset : float
        A constant added to every loss that the method sees, and to no loss that it is judged by.
    """

    entry: Entry | Task
    method: Method
    factor: float
    seed: int
    num_steps: int | None = None
    offset: float = 0.0

    @property
    def key(self) -> Key:
        """Return which run this is."""
        return Key(self.entry.name, self.method.name, self.factor, self.seed)

    @property
    def base_lr(self) -> float:
        """Return the base rate itself; nan where the method takes none."""
        return self.entry.base_lr(self.method.optimizer, self.factor)


def run(start: Start) -> Result:
    """Make a run on a problem; the same for the same start."""
    if not isinstance(start.entry, Entry):
        raise TypeError(f"`start` must be on a problem, got the task {start.entry.name!r}.")
    problem = start.entry.make(start.num_steps)
    began = time.perf_counter()
    # A run that overflows is a result. Arithmetic says so through errstate, methods through warnings.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = np.ascontiguousarray(problem.start(start.seed), dtype=np.float64)
        first_loss = problem.full_loss(params)
        stepper = start.method.begin(params, start.base_lr, problem.num_steps)
        notes, judged = _follow(problem, params, stepper, start.offset)
        final = notes.final_loss() if np.isfinite(judged).all() else math.inf
        diverged = not final <= RUNAWAY * (abs(first_loss) + problem.epsilon)  # nan included
        solved = problem.solved(judged)
        metrics = None if diverged else problem.metrics(judged)
    return Result(
        final_loss=math.inf if diverged else final,
        diverged=diverged,
        solved=solved if solved is None else bool(solved and not diverged),
        steps=notes.steps,
        losses=notes.losses,
        rates=notes.rates,
        seconds=time.perf_counter() - began,
        metrics=metrics,
    )


def _follow(problem: Problem, params: Array, stepper: Stepper, offset: float) -> tuple[Notes, Array]:
    """Step to the end, or to the first parameter that is not finite; return notes and what is judged."""
    notes = Notes(problem.num_steps, FINAL_POINTS)
    try:
        for step in range(1, problem.num_steps + 1):
            loss, rows = problem.sample(params)
            rate = stepper.step(rows, loss + offset)
            if step in notes.wanted or step in notes.end:
                judged = stepper.judged()
                full_loss = problem.full_loss(judged)
                notes.add(step, full_loss, rate)
                if not math.isfinite(float(judged.sum())):
                    return notes, judged
    except (OverflowError, Diverged):
        return notes, np.full_like(params, math.nan)
    return notes, stepper.judged()


class Notes:
    """Losses and rates of a run at its checkpoints.

    Attributes
    ----------
    wanted, end : frozenset of int
        The steps of the curve, and those whose mean full loss is the final loss.
    last_from : int
        Steps before the last part of the run.
    steps, losses, rates : list
        What was added.
    """

    def __init__(self, total: int, final_points: int) -> None:
        self.last_from = total - max(1, round(FINAL_SHARE * total))
        self.wanted = _whole(
            np.linspace(1, total, CHECKPOINTS // 2), np.geomspace(1, total, CHECKPOINTS // 2)
        )
        self.end = _whole(np.linspace(self.last_from + 1, total, min(final_points, total - self.last_from)))
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.rates: list[float] = []

    def add(self, step: int, loss: float, rate: float) -> None:
        """Write down a checkpoint."""
        self.steps.append(step)
        self.losses.append(float(loss) if math.isfinite(loss) else math.inf)
        self.rates.append(float(rate))

    def final_loss(self) -> float:
        """Return the mean of the losses at `end`; inf if the run did not get there."""
        last = [loss for step, loss in zip(self.steps, self.losses, strict=True) if step in self.end]
        return float(np.mean(last)) if len(last) == len(self.end) else math.inf


def _whole(*points: Array) -> frozenset[int]:
    return frozenset(np.concatenate(points).round().astype(int).tolist())
