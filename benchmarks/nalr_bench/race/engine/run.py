"""One run of the race: a contender on a problem, from a seed."""

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

Array = NDArray[np.float64]

FINAL_SHARE = 0.05
"""The final loss is the mean over this last part of the steps, taken at …"""
FINAL_POINTS = 20
"""… this many of them: on smooth curves the same to a percent as every step, at a fifth of the time."""
CHECKPOINTS = 60
"""Points of the full loss's curve, half of them evenly spread and half geometrically."""
RUNAWAY = 1e3
"""An outcome this many times worse than the start has diverged, finite or not."""


@dataclass(frozen=True)
class Start:
    """A run to be made: what worker processes are given.

    Attributes
    ----------
    entry : Entry
        The problem.
    contender : Method
        The method.
    factor : float
        Its base rate over the natural one; nan where it takes none.
    seed : int
        Where all the randomness comes from.
    num_steps : int or None
        Length of the run; None for the problem's own.
    offset : float
        A constant added to every loss that the method sees, and to no loss that it is judged by.
    """

    entry: Entry
    contender: Method
    factor: float
    seed: int
    num_steps: int | None = None
    offset: float = 0.0

    @property
    def key(self) -> Key:
        """Return which run this is."""
        return Key(self.entry.name, self.contender.name, self.factor, self.seed)


def run(start: Start) -> Result:
    """Make the run; the same for the same start."""
    problem = start.entry.make(start.num_steps)
    began = time.perf_counter()
    # A run that overflows is a result. Arithmetic says so through errstate, methods through warnings.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = np.ascontiguousarray(problem.start(start.seed), dtype=np.float64)
        base_lr = start.factor * start.entry.natural(start.contender.optimizer)
        first_loss = problem.full_loss(params)
        stepper = start.contender.begin(params, base_lr, problem.num_steps)
        notes, judged = _follow(problem, params, stepper, start.offset)
        final = notes.final_loss() if np.isfinite(judged).all() else math.inf
        diverged = not final <= RUNAWAY * (abs(first_loss) + problem.epsilon)  # nan included
        solved = problem.solved(judged)
    return Result(
        final_loss=math.inf if diverged else final,
        diverged=diverged,
        solved=solved if solved is None else bool(solved and not diverged),
        steps=notes.steps,
        losses=notes.losses,
        rates=notes.rates,
        seconds=time.perf_counter() - began,
    )


def _follow(problem: Problem, params: Array, stepper: Stepper, offset: float) -> tuple[_Notes, Array]:
    """Step to the end, or to the first parameter that is not finite; return notes and what is judged."""
    notes = _Notes(problem)
    try:
        for step in range(1, problem.num_steps + 1):
            loss, rows = problem.sample(params)
            rate = stepper.step(rows, loss + offset)
            if step in notes.wanted:
                judged = stepper.judged()
                notes.add(step, problem.full_loss(judged), rate)
                if not math.isfinite(float(judged.sum())):
                    return notes, judged
    except (OverflowError, Diverged):
        return notes, np.full_like(params, math.nan)
    return notes, stepper.judged()


class _Notes:
    """The full losses and rates of a run at its checkpoints."""

    def __init__(self, problem: Problem) -> None:
        total = problem.num_steps
        self._final_from = total - max(1, round(FINAL_SHARE * total))
        curve = {
            *np.linspace(1, total, CHECKPOINTS // 2).round().astype(int).tolist(),
            *np.geomspace(1, total, CHECKPOINTS // 2).round().astype(int).tolist(),
        }
        end = np.linspace(self._final_from + 1, total, min(FINAL_POINTS, total - self._final_from))
        self._end = set(end.round().astype(int).tolist())
        self.wanted = frozenset(curve | self._end)
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.rates: list[float] = []

    def add(self, step: int, loss: float, rate: float) -> None:
        self.steps.append(step)
        self.losses.append(float(loss) if math.isfinite(loss) else math.inf)
        self.rates.append(float(rate))

    def final_loss(self) -> float:
        """Return the mean of the last losses; inf if there are none."""
        last = [loss for step, loss in zip(self.steps, self.losses, strict=True) if step in self._end]
        return float(np.mean(last)) if len(last) == len(self._end) else math.inf
