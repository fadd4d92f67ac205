"""The report of a simulation, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nalr_bench.estimators.chance import Chance
from nalr_bench.estimators.finding import CHANCE, HIGHEST, LOWEST, Bias, Coverage, Finding
from nalr_bench.estimators.forms import NAIVE, OURS, SIGNAL, VARIANCE
from nalr_bench.estimators.table import HEADINGS, cells, number
from nalr_bench.tables import Row, grouped, wrapped


@dataclass(frozen=True)
class Report:
    """All findings of a simulation, in the order of the table."""

    draws: int
    seed: int
    findings: list[Finding]

    def rows(self) -> list[list[Finding]]:
        """Return the findings of each row of the table: those of one title, quantity and form."""
        found: dict[tuple[str, str, str], list[Finding]] = {}
        for each in self.findings:
            found.setdefault((each.title, each.quantity, each.form), []).append(each)
        return list(found.values())

    def judged(self) -> list[list[Finding]]:
        """Return the rows that have a figure to reach."""
        return [row for row in self.rows() if row[0].ours]

    def chance(self) -> Chance | None:
        """Return our biases compared with chance; None if there are none."""
        scores = [each.value for each in self.findings if isinstance(each, Bias) and each.ours]
        return Chance.of(scores) if scores else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        chance = self.chance()
        judged = self.judged()
        return {
            "draws": self.draws,
            "seed": self.seed,
            "biases": [each.to_dict() for each in self.findings if isinstance(each, Bias)],
            "coverages": [each.to_dict() for each in self.findings if isinstance(each, Coverage)],
            "chance": None if chance is None else dataclasses.asdict(chance),
            "figures": {"reached": sum(map(_reached, judged)), "of": len(judged)},
        }


def render(report: Report) -> str:
    """Return the report as text: table, legend, what is outside, figures reached."""
    parts = [
        f"{report.draws} draws of a cell, seed {report.seed}",
        grouped(HEADINGS, groups(report)),
        *legend(report),
    ]
    outside = ["  " + line for line in worst(report)]
    if outside:
        parts.append("\n".join(["Outside their figures, the worst of each row:", *outside]))
    parts.append(conclusion(report))
    return "\n\n".join(parts)


def conclusion(report: Report) -> str:
    """Return how many figures are reached."""
    judged = report.judged()
    return f"{sum(map(_reached, judged))} of {len(judged)} figures are reached."


def groups(report: Report) -> dict[str, list[Row]]:
    """Return the rows of the table under their titles."""
    found: dict[str, list[Row]] = {}
    for row in report.rows():
        kind = "Bias" if isinstance(row[0], Bias) else "Intervals"
        found.setdefault(f"{kind}: {row[0].title}", []).append(cells(row))
    return found


def worst(report: Report) -> Iterator[str]:
    """Yield a line for each of our rows that misses its figure: its worst cell."""
    for row in report.judged():
        outside = [each for each in row if each.outside]
        if outside:
            far = max(outside, key=lambda each: abs(each.value) if isinstance(each, Bias) else -each.value)
            place = far.title if far.where == far.title else f"{far.title}: {far.where}"
            yield f"{number(far):>6}  {far.quantity}, {place}"


def legend(report: Report) -> Iterator[str]:
    """Yield paragraphs that explain the numbers."""
    chance = report.chance()
    if chance is not None:
        yield wrapped(
            "Bias: mean of the estimates less the truth, in standard errors of that mean. The largest is "
            "also given in units of tr Σ, or the mean as a multiple of the truth. "
            f"Of our {chance.count} biases {chance.beyond} are beyond 2, where {chance.expected:.1f} are "
            f"expected by chance; the largest is {chance.worst:.2f}, and independent biases would have one "
            f"as large in {chance.probability:.0%} of such tables (the ratios of one source "
            "and D share their noise)."
        )
    sizes = list(_naive_noise_scales(report.findings))
    if sizes:
        yield wrapped(
            f"tr Σ over uncorrected |ḡ|²: {'; '.join(sizes)}. It estimates the batch size, not B_simple."
        )
    if any(isinstance(each, Coverage) for each in report.findings):
        errors = [math.sqrt(end * (1.0 - end) / report.draws) for end in (LOWEST, HIGHEST)]
        yield wrapped(
            "Intervals: coverage of 95 % intervals. It counts as outside its figure beyond "
            f"{CHANCE:g} standard errors, which are {errors[0]:.2%} at {LOWEST:.0%} and {errors[1]:.2%} at "
            f"{HIGHEST:.0%}."
        )


def _naive_noise_scales(found: Sequence[Finding]) -> Iterator[str]:
    """Yield the noise scale from uncorrected |ḡ|²."""
    means = {
        (each.title, each.quantity, each.form): each
        for each in found
        if isinstance(each, Bias) and each.study == "example"
    }
    for (title, quantity, form), variance in means.items():
        if (quantity, form) == (VARIANCE, OURS):
            size = variance.mean / means[title, SIGNAL, NAIVE].mean
            true = variance.truth / means[title, SIGNAL, NAIVE].truth
            yield f"{size:.3g} samples instead of {true:.0f} with {title.rpartition(', ')[2]}"


def _reached(row: Sequence[Finding]) -> bool:
    return not any(each.outside for each in row)
