"""One training run by plain SGD, and the record that it leaves."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr_bench.race.problems.problem import Problem
from nalr_bench.schedules import Rule

Array = NDArray[np.float64]

FINAL_SHARE = 0.05  # the final loss is the mean over this last part of the steps
NUM_CHECKPOINTS = 200  # points of the full loss's curve
TRAJECTORY_DIM = 3  # paths are kept up to this dimension
RUNAWAY = 1e3  # an outcome this many times worse than the start has diverged, finite or not


@dataclass(frozen=True)
class Curves:
    """A run step by step; T is the number of steps made, fewer than planned if it diverged.

    Attributes
    ----------
    losses, lrs : (T,) array
        Minibatch loss and learning rate of each step.
    full_loss_steps, full_losses : (K,) array
        Steps, counted from 0, after which the full loss was taken, and its values.
    trajectory : (T + 1, D) array or None
        Parameters before the first step and after each; None beyond three dimensions.
    history : dict or None
        What the rate source recorded itself, by columns.
    """

    losses: Array
    lrs: Array
    full_loss_steps: NDArray[np.int64]
    full_losses: Array
    trajectory: Array | None
    history: dict[str, Any] | None


@dataclass(frozen=True)
class Run:
    """The outcome of one run.

    Attributes
    ----------
    problem : str
        The problem's name.
    rule : Rule
        What chose the learning rates.
    seed : int
        Where all the randomness came from.
    final_loss : float
        Full loss averaged over the last 5 % of the steps; inf if the run diverged.
    diverged : bool
        Whether parameters or full loss stopped being finite, or the final loss was over 1000 times the first.
    metrics : dict
        The problem's metrics at the end; empty if the run diverged.
    solved : bool or None
        The problem's verdict at the end; a diverged run has not solved what could be solved.
    curves : Curves or None
        The run step by step, if it was asked for.
    """

    problem: str
    rule: Rule
    seed: int
    final_loss: float
    diverged: bool
    metrics: dict[str, float]
    solved: bool | None
    curves: Curves | None = None


@dataclass(frozen=True)
class Task:
    """A run to be made: what `execute` and worker processes are given."""

    problem: Problem
    rule: Rule
    seed: int
    record: bool = False


def execute(task: Task) -> Run:
    """Make the run of `task`; see `train`."""
    return train(task.problem, task.rule, task.seed, record=task.record)


def train(problem: Problem, rule: Rule, seed: int, *, record: bool = False) -> Run:
    """Train by plain SGD, params ← params − lr · mean of the rows, for the problem's number of steps.

    Parameters
    ----------
    problem : Problem
        What to train.
    rule : Rule
        What chooses the learning rates.
    seed : int
        Seed of everything random, at least 0.
    record : bool
        Whether to keep the run step by step; costs memory, and full losses along the way.

    Returns
    -------
    Run
        The same for the same arguments. A run that overflows ends there, without a warning, as diverged.

    Examples
    --------
    >>> from nalr_bench.race.problems.problem import LandscapeProblem
    >>> from nalr_bench.schedules import Constant
    >>> from nalr.landscapes import create_noisy_landscape
    >>> bowl = create_noisy_landscape(dim=2, noise_scale=0.0)
    >>> problem = LandscapeProblem("bowl", "A bowl", bowl, batch_size=1, num_steps=400, epsilon=1e-3)
    >>> train(problem, Constant(0.1), seed=0).final_loss < 1e-9
    True
    >>> train(problem, Constant(10.0), seed=0).diverged
    True
    """
    params = problem.start(_checks.count("seed", seed, 0))
    source = rule.begin(problem.num_steps)
    recorder = _Recorder(problem, params, record)
    # numpy reports overflow through errstate, the library through its own warning; the record says it all.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", _checks.NoiseWarning)
        first_loss = problem.full_loss(params)
        try:
            for step in range(problem.num_steps):
                loss, rows = problem.sample(params)
                lr = source.rate(rows, loss)
                params = params - lr * rows.mean(axis=0)
                recorder.add(step, loss, lr, params)
                if not np.isfinite(params).all():
                    break
        except OverflowError:  # from a problem that computes in Python floats
            params = np.full_like(params, math.nan)
        final_loss = recorder.final_loss() if np.isfinite(params).all() else math.inf
        limit = RUNAWAY * (abs(first_loss) + problem.epsilon)
        diverged = not final_loss <= limit  # nan included
        solved = problem.solved(params)
        metrics = {} if diverged else problem.metrics(params)
    return Run(
        problem=problem.name,
        rule=rule,
        seed=seed,
        final_loss=math.inf if diverged else final_loss,
        diverged=diverged,
        metrics=metrics,
        solved=solved if solved is None else solved and not diverged,
        curves=recorder.curves(source.history()) if record else None,
    )


class _Recorder:
    """Notes of a run as it goes: always the final full losses, the curves if wanted."""

    def __init__(self, problem: Problem, start: Array, record: bool) -> None:
        self._problem = problem
        self._record = record
        self._final_from = problem.num_steps - max(1, round(FINAL_SHARE * problem.num_steps))
        self._every = max(1, problem.num_steps // NUM_CHECKPOINTS)
        self._full: dict[int, float] = {}
        self._losses: list[float] = []
        self._lrs: list[float] = []
        self._path: list[Array] | None = [start] if record and start.size <= TRAJECTORY_DIM else None

    def add(self, step: int, loss: float, lr: float, params: Array) -> None:
        """Note one step: the minibatch loss that was seen, the rate, and the parameters after it."""
        if step >= self._final_from or (self._record and step % self._every == 0):
            self._full[step] = self._problem.full_loss(params)
        if self._record:
            self._losses.append(loss)
            self._lrs.append(lr)
        if self._path is not None:
            self._path.append(params)

    def final_loss(self) -> float:
        """Return the mean of the full losses of the last steps."""
        return float(np.mean([loss for step, loss in self._full.items() if step >= self._final_from]))

    def curves(self, history: dict[str, Any] | None) -> Curves:
        """Return the notes as arrays."""
        return Curves(
            losses=np.array(self._losses),
            lrs=np.array(self._lrs),
            full_loss_steps=np.array(list(self._full), dtype=np.int64),
            full_losses=np.array(list(self._full.values())),
            trajectory=None if self._path is None else np.array(self._path),
            history=history,
        )
