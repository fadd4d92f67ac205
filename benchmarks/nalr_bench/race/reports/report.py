"""The result of a race on problems, as tables for the terminal and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nalr_bench import tables as text
from nalr_bench.race.engine.plan import EXTREME
from nalr_bench.race.problems.entry import GROUPS, OPTIMIZERS
from nalr_bench.race.reports import numbers
from nalr_bench.race.scoring.score import ALL, REACHED
from nalr_bench.race.scoring.standing import Standing
from nalr_bench.race.scoring.tuned import Tuned

HEADINGS = (*GROUPS, "÷ constant", "worst cell", "diverged", f"at b = {EXTREME:g}", "escape", "steps")
LEGEND = (
    "Tuning, held-out: final loss over that of the hand-tuned linear decay, geometric mean over the "
    f"problems of that group, seeds, and {numbers.FACTORS}; [95 % interval over seeds]. The other columns "
    "are over all problems. ÷ constant: the same against the hand-tuned constant rate. "
    f"At b = {EXTREME:g}: share that diverged there. Escape: share that left the wrong minima. "
    f"Steps: median to {REACHED:g} times the tuned loss."
)


@dataclass(frozen=True)
class Report:
    """The result of a race on problems.

    Attributes
    ----------
    standings : list of Standing
        From `Score.standings`.
    tuned : list of Tuned
        From `Score.tuned`.
    """

    standings: list[Standing]
    tuned: list[Tuned]

    def by_optimizer(self) -> dict[str, list[dict[str, Standing]]]:
        """Return each optimizer's methods, the best score over all problems first, as {group: standing}."""
        methods: dict[str, dict[str, Standing]] = {}
        for standing in self.standings:
            methods.setdefault(standing.method, {})[standing.group] = standing
        found: dict[str, list[dict[str, Standing]]] = {}
        for method in sorted(methods.values(), key=lambda groups: _last_if_nan(groups[ALL].score)):
            found.setdefault(method[ALL].optimizer, []).append(method)
        return {optimizer: found[optimizer] for optimizer in sorted(found, key=_place)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers; None for what is nan or infinite.

        So it is JSON that every reader reads. Of the numbers only `steps` can be infinite, for "never".
        """
        found: dict[str, Any] = text.jsonable(
            {
                "standings": [dataclasses.asdict(standing) for standing in self.standings],
                "tuned": [dataclasses.asdict(tuned) for tuned in self.tuned],
            }
        )
        return found


def render(report: Report) -> str:
    """Return the report as text: a table for each optimizer, and where a sweep was too narrow."""
    parts = [text.aligned(rows) for rows in _tables(report)]
    if parts:
        parts.append(text.wrapped(LEGEND))
    return "\n\n".join([*parts, *edges(report)])


def problem_rows(report: Report, optimizer: str) -> list[tuple[str, ...]]:
    """Return a table of one optimizer's methods (columns) on each problem: mean regret over the factors."""
    methods = [each[ALL] for each in report.by_optimizer().get(optimizer, [])]
    names = list(dict.fromkeys(problem for method in methods for problem in method.problems))
    rows = [("regret", *(method.method.removeprefix(f"{optimizer} ") for method in methods))]
    return rows + [(name, *(text.number(m.problems.get(name, math.nan)) for m in methods)) for name in names]


def _tables(report: Report) -> Iterator[list[tuple[str, ...]]]:
    for optimizer, methods in report.by_optimizer().items():
        yield [(optimizer, *HEADINGS), *((each[ALL].method, *_cells(each)) for each in methods)]


def _cells(method: dict[str, Standing]) -> tuple[str, ...]:
    """Return what is under `HEADINGS`."""
    whole = method[ALL]
    return (
        *(numbers.score(method[group]) if group in method else text.ABSENT for group in GROUPS),
        text.number(whole.score_constant),
        numbers.worst(whole.worst),
        text.percent(whole.diverged),
        text.percent(whole.diverged_extreme),
        text.percent(whole.escape),
        numbers.steps(whole.steps),
    )


def edges(report: Report) -> Iterator[str]:
    """Yield a paragraph for each tuned schedule whose best factor is the grid's first or last."""
    for schedule in dict.fromkeys(tuned.method for tuned in report.tuned):
        mine = [f"{t.problem} ({t.factor:g})" for t in report.tuned if t.at_edge and t.method == schedule]
        if mine:
            yield f"Best at the edge of its grid, {schedule}: {', '.join(mine)}."


def _last_if_nan(score: float) -> float:
    return math.inf if math.isnan(score) else score


def _place(optimizer: str) -> int:
    return OPTIMIZERS.index(optimizer) if optimizer in OPTIMIZERS else len(OPTIMIZERS)
