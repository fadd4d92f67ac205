"""What one run of the race leaves: plain numbers, so that a cache can hold it."""

from __future__ import annotations

import math
from typing import NamedTuple


class Key(NamedTuple):
    """Which run it is, of all on problems or of all on tasks.

    Attributes
    ----------
    problem : str
        Name of the problem or of the task.
    method : str
        Name of the method.
    factor : float
        b, the base rate over the natural one; nan for a method that takes no rate.
    seed : int
        Where all the randomness came from.
    """

    problem: str
    method: str
    factor: float
    seed: int


class Result(NamedTuple):
    """How one run went.

    Attributes
    ----------
    final_loss : float
        Full loss (of a task: over its fixed part of the training set) averaged over the last 5 % of the
        steps; inf if the run diverged.
    diverged : bool
        Whether parameters or loss stopped being finite, or the final loss was over 1000 times the first; over
        1.1 times on a task.
    solved : bool or None
        The problem's verdict at the end; a diverged run has not solved what could be solved.
    steps : list of int
        Steps made before each of the checkpoints, growing.
    losses : list of float
        Full loss there; inf where it was not finite. On a task the minibatch's.
    rates : list of float
        Learning rate of the step before; nan where the method has none.
    seconds : float
        What the run took.
    held_out : float
        Loss over the held-out set of a task after the last step; inf if the run diverged, nan on problems.
    training : float
        Mean loss of a task's minibatches over the last 5 % of the steps; nan on problems.
    metrics : dict or None
        The problem's metrics at the end, such as held-out accuracy; None if the run diverged, and on tasks.
    """

    final_loss: float
    diverged: bool
    solved: bool | None
    steps: list[int]
    losses: list[float]
    rates: list[float]
    seconds: float
    held_out: float = math.nan
    training: float = math.nan
    metrics: dict[str, float] | None = None
