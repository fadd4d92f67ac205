"""The results of a race as arrays over problems, factors and seeds, and their means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.engine.result import Key, Result

Array = NDArray[np.float64]

LOWEST, HIGHEST = 1e-2, 1e3
"""No single run can win or lose the race: its regret counts for that at best and at worst."""


@dataclass(frozen=True)
class Runs:
    """All runs of one method. P problems, F factors in ascending order, S seeds.

    Attributes
    ----------
    factors : tuple of float
        Base rates over the natural one; nan alone for a method that takes none.
    losses : array (P, F, S)
        Logarithm of final loss + ε; inf where the run diverged, nan where there is none.
    held_out : array (P, F, S)
        The same of the held-out loss; nan on problems, which have none.
    diverged, solved : array (P, F, S)
        1 or 0; nan where there is no run, or nothing to solve.
    results : dict
        The results themselves, by their places (problem, factor, seed) in the arrays.
    """

    factors: tuple[float, ...]
    losses: Array
    held_out: Array
    diverged: Array
    solved: Array
    results: Mapping[tuple[int, int, int], Result]

    def columns(self, factors: Iterable[float]) -> list[int]:
        """Return the places of those of `factors` that were run; the only one of a method without a rate."""
        if all(math.isnan(factor) for factor in self.factors):
            return list(range(len(self.factors)))
        return [self.factors.index(factor) for factor in factors if factor in self.factors]


def gather(results: Mapping[Key, Result], epsilons: Mapping[str, float]) -> dict[str, Runs]:
    """Return the runs of each method on the problems of `epsilons`, which gives P its order."""
    problems = {problem: p for p, problem in enumerate(epsilons)}
    known = [(key, result) for key, result in results.items() if key.problem in problems]
    seeds = {seed: s for s, seed in enumerate(sorted({key.seed for key, _ in known}))}
    by_name: dict[str, list[tuple[Key, Result]]] = {}
    for key, result in known:
        by_name.setdefault(key.method, []).append((key, result))
    return {name: _runs(found, problems, seeds, epsilons) for name, found in by_name.items()}


def _runs(
    found: Sequence[tuple[Key, Result]],
    problems: Mapping[str, int],
    seeds: Mapping[int, int],
    epsilons: Mapping[str, float],
) -> Runs:
    # nan is not equal to itself: as a key of a dict it would be lost when read back from a cache.
    factors = sorted({key.factor for key, _ in found if not math.isnan(key.factor)}) or [math.nan]
    columns = {factor: f for f, factor in enumerate(factors)}
    losses, held_out, diverged, solved = np.full((4, len(problems), len(factors), len(seeds)), math.nan)
    places: dict[tuple[int, int, int], Result] = {}
    for key, result in found:
        place = problems[key.problem], columns.get(key.factor, 0), seeds[key.seed]
        places[place] = result
        lost = result.diverged or not math.isfinite(result.final_loss)
        losses[place] = math.inf if lost else math.log(result.final_loss + epsilons[key.problem])
        held_out[place] = math.inf if lost else math.log(result.held_out + epsilons[key.problem])
        diverged[place] = lost
        if result.solved is not None:
            solved[place] = result.solved
    return Runs(tuple(factors), losses, held_out, diverged, solved, places)


def log_regrets(losses: Array, reference: Array) -> Array:
    """Return log regrets (..., P, F, S), clipped, of `losses` (P, F, S) against `reference` (..., P)."""
    return np.clip(losses - reference[..., None, None], math.log(LOWEST), math.log(HIGHEST))


def mean(values: Array, weights: Array | float, axis: int | tuple[int, ...]) -> Array:
    """Return the weighted mean along `axis` of what is not nan; nan where there is nothing."""
    there = ~np.isnan(values)
    weights = np.where(there, weights, 0.0)
    total = np.asarray(weights.sum(axis=axis))
    # inf · 0 is nan, but a run that was not drawn has no part in the mean, however bad it was.
    counted = np.where(weights > 0.0, values, 0.0)
    sums = np.asarray((counted * weights).sum(axis=axis))
    result: Array = np.divide(sums, total, out=np.full(total.shape, math.nan), where=total > 0.0)
    return result
