"""The Markdown report: the command, the table, and every cell of our estimates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nalr_bench.estimators.finding import Bias, Coverage, Finding
from nalr_bench.estimators.report import Report, conclusion, groups, legend
from nalr_bench.estimators.table import HEADINGS, number
from nalr_bench.tables import piped

ABOUT = (
    "Estimates of `NoiseEstimator`, and of biased alternatives, from rows with exactly known |G|² and tr Σ, "
    "and the coverage of 95 % intervals. The variance of the j-th coordinate "
    "falls as 1/√j. A step has 8 rows unless stated otherwise, and 20 dimensions where there are many steps. "
    "Correlated steps are series of raw pairs with the spread of normal rows."
)


def write(report: Report, command: str) -> str:
    """Return the document, which depends on the simulation alone."""
    parts = [
        "# Estimators against the truth",
        f"Made by `{command}`: {report.draws} draws of each cell.",
        ABOUT,
        *_summary(report),
        *(text.replace("\n", " ") for text in legend(report)),
        conclusion(report),
    ]
    for heading, about, kind in (
        ("## Every interval", "Coverage of 95 % intervals.", Coverage),
        ("## Every bias", "In standard errors.", Bias),
    ):
        tables = list(_every_cell([each for each in report.findings if isinstance(each, kind)]))
        parts += [heading, about, *tables] if tables else []
    return "\n\n".join(parts) + "\n"


def _summary(report: Report) -> Iterator[str]:
    for title, rows in groups(report).items():
        yield piped([(_safe(title), *HEADINGS[1:]), *(tuple(map(_safe, row)) for row in rows)])


def _every_cell(found: Sequence[Finding]) -> Iterator[str]:
    """Yield a table of the cells of each title that has several, a column for each quantity."""
    for title, cells in _by_title(found).items():
        quantities = list(dict.fromkeys(each.quantity for each in cells))
        places = list(dict.fromkeys(each.where for each in cells))
        numbers = {(each.where, each.quantity): number(each) for each in cells}
        lines = [(place, *(numbers[place, quantity] for quantity in quantities)) for place in places]
        if len(places) > 1:
            yield piped([tuple(map(_safe, line)) for line in [(title, *quantities), *lines]])


def _by_title(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Return ours by title."""
    by_title: dict[str, list[Finding]] = {}
    for each in found:
        if each.ours:
            by_title.setdefault(each.title, []).append(each)
    return by_title


def _safe(text: str) -> str:
    """Return text with escaped bars."""
    return text.replace("|", "\\|")
