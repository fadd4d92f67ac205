"""What the demo claims, checked against what it measured. A claim that does not hold is printed as such."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nalr_bench.demo.comparisons import LINEAR, NALR_LARGE, NALR_SMALL, SMALL, Outcome
from nalr_bench.race.scoring.verdict import TARGET

ESCAPE_SHARE = 0.95
ERRORS = 2.0
"""A method is as accurate as another if it is lower by at most so many standard errors of the difference."""


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
    yield _level(outcome, NALR_SMALL)
    if outcome.comparison.has_accuracy:
        yield _level(outcome, NALR_LARGE)
        yield _accuracy(outcome, NALR_SMALL)
        yield _accuracy(outcome, NALR_LARGE)
    yield from _escapes(outcome)


def _level(outcome: Outcome, label: str) -> Claim:
    """Compare with the tuned linear decay, by the target that the race sets for any base rate."""
    ours, tuned = outcome.methods[label].score, outcome.methods[LINEAR].score
    return Claim(
        f"{_name(outcome)}: {label}, ends at most {TARGET - 1.0:.0%} above the tuned linear decay: "
        f"{ours:.3g} against {tuned:.3g}, ratio {ours / tuned:.3g}",
        ours <= TARGET * tuned,
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
