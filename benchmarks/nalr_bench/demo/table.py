"""The demo's table, for the terminal and for Markdown, and the same as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from nalr_bench.demo.claims import Claim
from nalr_bench.demo.comparisons import CONSTANT, MethodResult, Outcome
from nalr_bench.tables import ABSENT, aligned, jsonable

HEADINGS = ("start rate", "final loss", "/ best fixed", "test accuracy", "global basin", "diverged")


def render(outcomes: Sequence[Outcome]) -> str:
    """Return a table for each problem, a row for each method.

    The final loss is the geometric mean over seeds of (full loss over the last 5 % of the steps + ε).
    """
    return "\n\n".join(f"{heading(outcome)}\n{aligned(rows(outcome))}" for outcome in outcomes)


def heading(outcome: Outcome) -> str:
    """Return what a table is about."""
    problem, seeds = outcome.comparison.problem, len(outcome.comparison.seeds)
    return f"{problem.title}: {problem.num_steps} steps, {seeds} seeds, loss + {problem.epsilon:g}"


def rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return a table's rows, headings first."""
    body = [_cells(outcome, label, result) for label, result in outcome.methods.items()]
    return [("method", *HEADINGS), *body]


def to_dict(outcomes: Sequence[Outcome], claims: Sequence[Claim]) -> dict[str, Any]:
    """Return tables and claims as dicts, lists, strings and numbers; None for what is not finite."""
    found: dict[str, Any] = jsonable(
        {
            "problems": [
                {
                    "problem": outcome.comparison.problem.name,
                    "title": outcome.comparison.problem.title,
                    "num_steps": outcome.comparison.problem.num_steps,
                    "seeds": list(outcome.comparison.seeds),
                    "methods": [_method(outcome, label, result) for label, result in outcome.methods.items()],
                }
                for outcome in outcomes
            ],
            "claims": [{"claim": claim.text, "holds": claim.holds} for claim in claims],
        }
    )
    return found


def _method(outcome: Outcome, label: str, result: MethodResult) -> dict[str, Any]:
    return {
        "method": label,
        "start_rate": result.rate,
        "at_edge": result.at_edge,
        "final_loss": result.score,
        "over_best_fixed": outcome.ratio(label),
        "test_accuracy": _accuracy(outcome, result),
        "global_basin": result.solved_share,
        "diverged": result.num_diverged,
    }


def _cells(outcome: Outcome, label: str, result: MethodResult) -> tuple[str, ...]:
    accuracy, solved = _accuracy(outcome, result), result.solved_share
    return (
        label,
        f"{result.rate:.3g}{'*' if result.at_edge else ''}",
        f"{result.score:.3g}",
        "1" if label == CONSTANT else f"{outcome.ratio(label):.3g}",
        ABSENT if math.isnan(accuracy) else f"{accuracy:.1%}",
        ABSENT if solved is None else f"{solved:.0%}",
        f"{result.num_diverged}/{len(result.results)}",
    )


def _accuracy(outcome: Outcome, result: MethodResult) -> float:
    """Return the mean held-out accuracy; nan where the problem has none."""
    return fmean(result.accuracies) if outcome.comparison.has_accuracy else math.nan
