"""The demo's one table, as text."""

from __future__ import annotations

from collections.abc import Sequence

from nalr_bench.demo.comparisons import CONSTANT, MethodResult, Outcome

HEADINGS = ("method", "start rate", "final loss", "/ best fixed", "test accuracy", "global basin", "diverged")
ABSENT = "-"


def render(outcomes: Sequence[Outcome]) -> str:
    """Return the table: a group of rows for each problem, a row for each method.

    The final loss is the geometric mean over seeds of (full loss over the last 5 % of the steps + epsilon).
    """
    groups = [
        (_heading(outcome), [_cells(outcome, label, result) for label, result in outcome.methods.items()])
        for outcome in outcomes
    ]
    rows = [HEADINGS, *(row for _, group in groups for row in group)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS))]
    rule = "-" * (sum(widths) + 2 * len(widths))
    lines = [_line(HEADINGS, widths), rule]
    for heading, group in groups:
        lines += [heading, *(_line(row, widths) for row in group), rule]
    return "\n".join(lines)


def _heading(outcome: Outcome) -> str:
    problem, seeds = outcome.comparison.problem, len(outcome.comparison.seeds)
    return f"{problem.title}: {problem.num_steps} steps, {seeds} seeds, loss + {problem.epsilon:g}"


def _cells(outcome: Outcome, label: str, result: MethodResult) -> tuple[str, ...]:
    accuracy, solved = result.mean_metric("test_accuracy"), result.solved_share
    edge = "*" if label in outcome.tuned and outcome.tuned[label].at_edge else ""
    return (
        label,
        f"{result.rule.base_lr:.3g}{edge}",
        f"{result.score:.3g}",
        "1" if label == CONSTANT else f"{outcome.ratio(label):.3g}",
        ABSENT if accuracy is None else f"{accuracy:.1%}",
        ABSENT if solved is None else f"{solved:.0%}",
        f"{result.num_diverged}/{len(result.runs)}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line: the first cell to the left and indented, the others to the right."""
    first, *rest = (
        f"{cell:{'<' if k == 0 else '>'}{width}}"
        for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  " + "  ".join([first, *rest])
