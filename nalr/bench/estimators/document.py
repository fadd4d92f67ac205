"""A simulation as a Markdown document: the command that made it, the table, and every cell of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from nalr.bench.estimators.finding import Bias, Coverage, Finding
from nalr.bench.estimators.report import HEADINGS, Report, conclusion, groups, legend
from nalr.bench.race.text import piped

Kind = TypeVar("Kind", bound=Finding)

ABOUT = (
    "Estimates of `NoiseEstimator`, and of the forms that tempt, from rows whose |G|² and tr Σ are known "
    "exactly; and intervals of 95 %, with how often they hold the truth. The variance of the j-th coordinate "
    "falls as 1/√j. A step has 8 rows unless said otherwise, and 20 dimensions where there are many steps. "
    "Correlated steps are series of raw pairs, as spread as those of normal rows."
)


def write(report: Report, command: str) -> str:
    """Return the document; the same simulation gives the same text on every day."""
    parts = [
        "# Estimators against the truth",
        f"Made by `{command}`: {report.draws} draws of each cell.",
        ABOUT,
        *_summary(report),
        *(text.replace("\n", " ") for text in legend(report)),
        conclusion(report),
    ]
    coverages, biases = list(_coverages(report)), list(_biases(report))
    if coverages:
        parts += ["## Every interval", "Share of intervals that hold the truth.", *coverages]
    if biases:
        parts += ["## Every bias", "In standard errors: of |G|², of tr Σ.", *biases]
    return "\n\n".join(parts) + "\n"


def _summary(report: Report) -> Iterator[str]:
    for title, rows in groups(report).items():
        yield piped([(_safe(title), *HEADINGS[1:]), *(tuple(map(_safe, row)) for row in rows)])


def _coverages(report: Report) -> Iterator[str]:
    for title, found in _by_title([each for each in report.findings if isinstance(each, Coverage)]).items():
        quantities = list(dict.fromkeys(each.quantity for each in found))
        shares = {(each.where, each.quantity): f"{each.value:.1%}" for each in found}
        places = dict.fromkeys(each.where for each in found)
        lines = [(_safe(place), *(shares[place, quantity] for quantity in quantities)) for place in places]
        yield piped([(title, *map(_safe, quantities)), *lines])


def _biases(report: Report) -> Iterator[str]:
    for title, found in _by_title([each for each in report.findings if isinstance(each, Bias)]).items():
        scores: dict[str, list[str]] = {}
        for each in found:
            scores.setdefault(each.where, []).append(f"{each.value:+.2f}")
        lines = [(_safe(place), ", ".join(values)) for place, values in scores.items()]
        yield piped([(_safe(title), "z"), *lines])


def _by_title(found: Sequence[Kind]) -> dict[str, list[Kind]]:
    """Return ours by title."""
    by_title: dict[str, list[Kind]] = {}
    for each in found:
        if each.ours:
            by_title.setdefault(each.title, []).append(each)
    return by_title


def _safe(text: str) -> str:
    """Return text whose bars do not end a cell."""
    return text.replace("|", "\\|")
