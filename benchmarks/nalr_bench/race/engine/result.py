"""What one run of the race leaves: plain numbers, so that a cache can hold it."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """Which run it is.

    Attributes
    ----------
    problem : str
        Name of the entry.
    contender : str
        Name of the method.
    factor : float
        b, the base rate over the natural one; nan for a method that takes no rate.
    seed : int
        Where all the randomness came from.
    """

    problem: str
    contender: str
    factor: float
    seed: int


class Result(NamedTuple):
    """How one run went.

    Attributes
    ----------
    final_loss : float
        Full loss averaged over the last 5 % of the steps; inf if the run diverged.
    diverged : bool
        Whether parameters or full loss stopped being finite, or the final loss was over 1000 times the first.
    solved : bool or None
        The problem's verdict at the end; a diverged run has not solved what could be solved.
    steps : list of int
        Steps made before each of the checkpoints, growing.
    losses : list of float
        Full loss there; inf where it was not finite.
    rates : list of float
        Learning rate of the step before; nan where the method has none.
    seconds : float
        What the run took.
    """

    final_loss: float
    diverged: bool
    solved: bool | None
    steps: list[int]
    losses: list[float]
    rates: list[float]
    seconds: float
