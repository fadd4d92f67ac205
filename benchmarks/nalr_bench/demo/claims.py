"""What the demo claims, checked against what it measured. A claim that does not hold is printed as such."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nalr_bench.demo.comparisons import CONSTANT, LINEAR, NALR_LARGE, NALR_SMALL, SMALL, Outcome

ESCAPE_SHARE = 0.95
ERRORS = 2.0
"""A method is as good as another if it is worse by at most so many standard errors of the difference, which
is taken seed by seed: the runs of a seed share their start and their minibatches."""


@dataclass(frozen=True)
class Claim:
    """A sentence with its numbers, and whether the measurements support it."""

    text: str
    holds: bool

    def __str__(self) -> str:
        return f"{'holds        ' if self.holds else 'does not hold'}  {self.text}"


def check(outcomes: Sequence[Outcome], *, quick: bool = False) -> list[Claim]:
    """Return the claims about `outcomes`; of a quick demo only the one for which few seeds are enough."""
    claims = [] if quick else [claim for outcome in outcomes for claim in _claims(outcome)]
    return [*claims, _no_divergence(outcomes)]


def _claims(outcome: Outcome) -> Iterator[Claim]:
    """Yield the claims about one problem: a network is judged on held-out data too, as its users do."""
    if outcome.comparison.has_accuracy:
        for label in (NALR_SMALL, NALR_LARGE):
            yield _level(outcome, label, LINEAR, "the tuned linear decay")
            yield _accuracy(outcome, label)
        return
    yield _level(outcome, NALR_SMALL, CONSTANT, "the best constant rate")
    yield from _escapes(outcome)


def _level(outcome: Outcome, label: str, reference: str, title: str) -> Claim:
    """Compare final losses seed by seed, as logarithms."""
    epsilon = outcome.comparison.problem.epsilon
    ours, theirs = (
        np.log([result.final_loss + epsilon for result in outcome.methods[each].results])
        for each in (label, reference)
    )
    holds, limit = False, math.nan  # a run that diverged has an infinite loss, and no difference from another
    if np.isfinite([ours, theirs]).all():
        differences = ours - theirs
        error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
        holds, limit = float(differences.mean()) <= ERRORS * error, math.exp(ERRORS * error)
    levels = outcome.methods[label].score, outcome.methods[reference].score
    return Claim(
        f"{_name(outcome)}: {label}, ends no higher than {title}: {levels[0]:.3g} against {levels[1]:.3g}, "
        f"ratio {levels[0] / levels[1]:.3g}, {ERRORS:g} standard errors allow {limit:.3g}",
        holds,
    )


def _accuracy(outcome: Outcome, label: str) -> Claim:
    ours, theirs = (np.array(outcome.methods[each].accuracies) for each in (label, LINEAR))
    differences = ours - theirs  # seed by seed: both methods get the same weights and minibatches
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    return Claim(
        f"{_name(outcome)}: {label}, is as accurate on held-out data as the tuned linear decay: "
        f"{ours.mean():.1%} against {theirs.mean():.1%}, {ERRORS:g} standard errors {ERRORS * error:.1%}",
        -float(differences.mean()) <= ERRORS * error and not outcome.methods[label].num_diverged,
    )


def _escapes(outcome: Outcome) -> Iterator[Claim]:
    ours, small = (outcome.methods[label].solved_share for label in (NALR_SMALL, SMALL))
    if ours is None or small is None:
        return
    name, count = _name(outcome), len(outcome.comparison.seeds)
    yield Claim(
        f"{name}: {NALR_SMALL}, reaches the global basin on at least {ESCAPE_SHARE:.0%} of {count} seeds: "
        f"{ours:.0%}",
        ours >= ESCAPE_SHARE,
    )
    yield Claim(f"{name}: the fixed small rate reaches it on none: {small:.0%}", small == 0.0)


def _no_divergence(outcomes: Sequence[Outcome]) -> Claim:
    methods = [method for outcome in outcomes for method in outcome.methods.values()]
    diverged = sum(method.num_diverged for method in methods)
    return Claim(f"no run diverged: {diverged} of {sum(len(each.results) for each in methods)}", not diverged)


def _name(outcome: Outcome) -> str:
    return outcome.comparison.problem.name
