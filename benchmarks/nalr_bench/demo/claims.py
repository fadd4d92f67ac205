"""What the demo claims, checked against what it measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nalr_bench.demo.comparisons import CONSTANT, NALR_SMALL, SMALL, Outcome

ESCAPE_SHARE = 0.95


@dataclass(frozen=True)
class Claim:
    """A sentence with its numbers, and whether they bear it out."""

    text: str
    holds: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.holds else 'FAIL'}  {self.text}"


def check(outcomes: Sequence[Outcome], *, quick: bool = False) -> list[Claim]:
    """Return the claims about `outcomes`; of a quick demo only those that few seeds can bear out."""
    claims = [] if quick else [*_levels(outcomes), *_escapes(outcomes)]
    return [*claims, _finite(outcomes), _no_divergence(outcomes)]


def _levels(outcomes: Sequence[Outcome]) -> list[Claim]:
    claims = []
    for outcome in outcomes:
        ours, constant = outcome.methods[NALR_SMALL].score, outcome.methods[CONSTANT].score
        claims.append(
            Claim(
                f"{outcome.comparison.problem.name}: nalr, started 100 times too small, ends at {ours:.3g}, "
                f"the best constant rate at {constant:.3g} (at or below it wanted)",
                ours <= constant,
            )
        )
    return claims


def _escapes(outcomes: Sequence[Outcome]) -> list[Claim]:
    claims = []
    for outcome in outcomes:
        ours, small = (outcome.methods[label].solved_share for label in (NALR_SMALL, SMALL))
        if ours is None or small is None:
            continue
        name, count = outcome.comparison.problem.name, len(outcome.comparison.seeds)
        claims.append(
            Claim(
                f"{name}: nalr reaches the global basin on {ours:.0%} of {count} seeds "
                f"(at least {ESCAPE_SHARE:.0%} wanted)",
                ours >= ESCAPE_SHARE,
            )
        )
        claims.append(
            Claim(f"{name}: the fixed small rate reaches it on {small:.0%} (0% expected)", small == 0.0)
        )
    return claims


def _finite(outcomes: Sequence[Outcome]) -> Claim:
    finals = [
        run.final_loss for outcome in outcomes for method in outcome.methods.values() for run in method.runs
    ]
    finite = sum(map(math.isfinite, finals))
    return Claim(f"{finite} of {len(finals)} final losses are finite", finite == len(finals))


def _no_divergence(outcomes: Sequence[Outcome]) -> Claim:
    diverged = sum(method.num_diverged for outcome in outcomes for method in outcome.methods.values())
    return Claim(f"{diverged} runs diverged (0 wanted)", diverged == 0)
