"""What each ingredient of the policy is worth: the whole rule against the rule without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.problems.entry import GROUPS
from nalr_bench.race.reports.numbers import FACTORS, worst
from nalr_bench.race.reports.report import Report
from nalr_bench.race.scoring.score import ALL
from nalr_bench.race.scoring.standing import Standing
from nalr_bench.tables import aligned, number, percent, wrapped

FULL = "full rule"

HEADINGS = (*(heading for group in GROUPS for heading in (group, "÷ full")), "escape", "worst cell")
LEGEND = (
    "Tuning, held-out: final loss over that of the hand-tuned linear decay, geometric mean over the "
    f"problems of that group, seeds, and {FACTORS}. ÷ full: over the same of the full rule; above 1 the rule "
    "is better with the ingredient."
)


def compare(report: Report, rules: Sequence[Nalr]) -> list[dict[str, Any]]:
    """Return a record for each of the rules: its standings and ratios by group, and which full rule's.

    The keys are `method`, `full` (a name), `label`, `escape` and `worst` over all problems, and `groups`, a
    dict for each group with `score` and `ratio`; numbers are nan where there is nothing to take them from.
    """
    standings = {(s.method, s.group): s for s in report.standings}
    records = []
    for rule in rules:
        full = Nalr(rule.optimizer, rule.horizon).name
        whole = standings.get((rule.name, ALL))
        if whole is not None:
            groups = {
                group: _against(standings.get((rule.name, group)), standings.get((full, group)))
                for group in (*GROUPS, ALL)
            }
            records.append(
                {
                    "method": rule.name,
                    "full": full,
                    "label": rule.label or FULL,
                    "escape": whole.escape,
                    "worst": whole.worst,
                    "groups": groups,
                }
            )
    return records


def render(records: Sequence[dict[str, Any]]) -> str:
    """Return the tables and their legend as text."""
    return "\n\n".join([*map(aligned, tables(records)), wrapped(LEGEND)])


def tables(records: Sequence[dict[str, Any]]) -> list[list[tuple[str, ...]]]:
    """Return the rows of a table for each full rule, headings first."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for record in records:
        rows = found.setdefault(record["full"], [(record["full"], *HEADINGS)])
        scores = [number(record["groups"][group][kind]) for group in GROUPS for kind in ("score", "ratio")]
        rows.append((record["label"], *scores, percent(record["escape"]), worst(record["worst"])))
    return list(found.values())


def _against(rule: Standing | None, full: Standing | None) -> dict[str, float]:
    score = math.nan if rule is None else rule.score
    return {"score": score, "ratio": math.nan if full is None else score / full.score}
