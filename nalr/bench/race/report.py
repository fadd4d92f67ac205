"""How a race came out, as tables for the terminal and for Markdown, and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nalr.bench.race.entry import GROUPS, OPTIMIZERS
from nalr.bench.race.score import ALL
from nalr.bench.race.standing import Cell, Standing
from nalr.bench.race.tuned import Tuned

HEADINGS = (*GROUPS, "÷ constant", "worst cell", "diverged", "at b = 10", "escape", "steps")
ABSENT = "-"
LEGEND = (
    "Tuning, kept apart: final loss over that of the hand-tuned linear decay, geometric mean over the",
    "problems of that group, seeds, and base rates b from 1e-4 to 1 times the natural one; [95 % interval",
    "over seeds]. The other columns are over all problems. ÷ constant: the same against the hand-tuned",
    "constant rate. At b = 10: share that diverged there. Escape: share that left the wrong minima. Steps:",
    "median to 1.1 times the tuned loss.",
)


@dataclass(frozen=True)
class Report:
    """What a race has to say.

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
            methods.setdefault(standing.contender, {})[standing.group] = standing
        found: dict[str, list[dict[str, Standing]]] = {}
        for method in sorted(methods.values(), key=lambda groups: _last_if_nan(groups[ALL].score)):
            found.setdefault(method[ALL].optimizer, []).append(method)
        return {optimizer: found[optimizer] for optimizer in sorted(found, key=_place)}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers; None for what is nan or infinite.

        So it is JSON that every reader reads. Of the numbers only `steps` can be infinite, for "never".
        """
        plain: dict[str, Any] = _plain(
            {
                "standings": [dataclasses.asdict(standing) for standing in self.standings],
                "tuned": [dataclasses.asdict(tuned) for tuned in self.tuned],
            }
        )
        return plain


def render(report: Report) -> str:
    """Return the report as text: a table for each optimizer, and where the reference is in doubt."""
    parts = []
    for optimizer, methods in report.by_optimizer().items():
        rows = [(optimizer, *HEADINGS), *((each[ALL].contender, *_cells(each)) for each in methods)]
        parts.append(_aligned(rows))
    if parts:
        parts.append("\n".join(LEGEND))
    return "\n\n".join([*parts, *_doubts(report)])


def render_problems(report: Report, optimizer: str) -> str:
    """Return a table of one optimizer's methods (columns) on each problem: mean regret over the factors."""
    methods = [each[ALL] for each in report.by_optimizer().get(optimizer, [])]
    names = list(dict.fromkeys(problem for method in methods for problem in method.problems))
    rows = [("regret", *(method.contender.removeprefix(f"{optimizer} ") for method in methods))]
    rows += [(name, *(_number(m.problems.get(name, math.nan)) for m in methods)) for name in names]
    return _aligned(rows)


def markdown(report: Report) -> str:
    """Return the report as Markdown tables, one for each optimizer, for a README."""
    parts = []
    for optimizer, methods in report.by_optimizer().items():
        rows = [(optimizer, *HEADINGS), (":--", *["--:"] * len(HEADINGS))]
        rows += [(each[ALL].contender, *_cells(each)) for each in methods]
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    if parts:
        parts.append(" ".join(LEGEND))
    return "\n\n".join([*parts, *_doubts(report)])


def _cells(method: dict[str, Standing]) -> tuple[str, ...]:
    """Return what is under `HEADINGS`."""
    whole = method[ALL]
    return (
        *(_score(method[group]) if group in method else ABSENT for group in GROUPS),
        _number(whole.score_constant),
        _worst(whole.worst),
        _percent(whole.diverged),
        _percent(whole.diverged_extreme),
        _percent(whole.escape),
        "never" if math.isinf(whole.steps) else ABSENT if math.isnan(whole.steps) else f"{whole.steps:.0f}",
    )


def _score(standing: Standing) -> str:
    """Return the score, its interval if there is one, and how much of the race it stands on if not all."""
    text = _number(standing.score)
    if not math.isnan(standing.low):
        text += f" [{_number(standing.low)}, {_number(standing.high)}]"
    if standing.num_cells < standing.expected:
        text += f" ({standing.num_cells} of {standing.expected} cells)"
    return text


def _worst(cell: Cell | None) -> str:
    if cell is None:
        return ABSENT
    where = cell.problem if math.isnan(cell.factor) else f"{cell.problem}, b = {cell.factor:g}"
    return f"{_number(cell.regret)} ({where})"


def _doubts(report: Report) -> Iterator[str]:
    """Yield a paragraph for each tuned schedule whose best factor is the grid's first or last."""
    for schedule in dict.fromkeys(tuned.contender for tuned in report.tuned):
        mine = [f"{t.problem} ({t.factor:g})" for t in report.tuned if t.at_edge and t.contender == schedule]
        if mine:
            yield f"Best at the edge of its grid, {schedule}: {', '.join(mine)}."


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, first column to the left, with a rule under the first row."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = row
        cells = [f"{first:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _number(value: float) -> str:
    """Return three digits, or none after the point from 100 on."""
    if math.isnan(value):
        return ABSENT
    return f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _percent(share: float) -> str:
    return ABSENT if math.isnan(share) else f"{share:.0%}" if share in (0.0, 1.0) else f"{share:.1%}"


def _last_if_nan(score: float) -> float:
    return math.inf if math.isnan(score) else score


def _place(optimizer: str) -> int:
    return OPTIMIZERS.index(optimizer) if optimizer in OPTIMIZERS else len(OPTIMIZERS)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
