"""What was measured, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nalr_bench.training.study import PLAIN, Quartiles, Result, Variant
from nalr_bench.workload import Fact

HEADINGS = ("work", "ms a step", "÷ without", "quartiles", "÷ ours", "figure", "verdict")
ABSENT = "-"

Row = tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything that `nalr bench training` found.

    Attributes
    ----------
    machine : dict
        What `machine.describe` says.
    results : list of Result
        A group of rows of the table each.
    facts : list of Fact
        Single numbers.
    wrong : list of str
        A sentence for each study whose answers do not agree.
    left_out : list of str
        A line for each thing that was not measured.
    """

    machine: dict[str, Any]
    results: list[Result]
    facts: list[Fact]
    wrong: list[str]
    left_out: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers, as JSON has them."""
        return {
            "machine": self.machine,
            "results": [result.to_dict() for result in self.results],
            "facts": [fact.to_dict() for fact in self.facts],
            "wrong": self.wrong,
            "left_out": self.left_out,
        }


def render(report: Report) -> str:
    """Return the report as text: the machine, the rows of each study, memory, what is missing."""
    versions = ", ".join(f"{name} {version}" for name, version in report.machine["versions"].items())
    threads = report.machine["threads"]
    parts = [f"{report.machine['cpu']}, {threads} thread{'s' if threads != 1 else ''}\n{versions}"]
    if report.results:
        parts.append(_table(report.results))
    if report.facts:
        parts.append("\n".join(_fact(fact) for fact in report.facts))
    if report.left_out:
        parts.append("Left out:\n" + "\n".join(f"  {line}" for line in report.left_out))
    parts.append("\n".join(_conclusion(report)))
    return "\n\n".join(parts)


def _table(results: Sequence[Result]) -> str:
    groups = {r.study.title: [_cells(r, each) for each in r.variants] for r in results}
    rows = [HEADINGS, *(row for group in groups.values() for row in group)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS))]
    rule = "-" * (sum(widths) + 2 * len(widths))
    lines = [_line(HEADINGS, widths), rule]
    for title, group in groups.items():
        lines += [title, *(_line(row, widths) for row in group), rule]
    return "\n".join(lines)


def _cells(result: Result, variant: Variant) -> Row:
    plain = variant.name == PLAIN
    ratio, beaten = result.ratio(variant.name), variant.beaten
    known = beaten is not None and beaten.ours in result.rounds
    return (
        variant.name,
        f"{1e3 * result.seconds(variant.name):.2f}",
        ABSENT if plain else _ratio(ratio.median),
        ABSENT if plain else _quartiles(ratio),
        _ratio(result.ratio(variant.name, beaten.ours).median) if beaten and known else ABSENT,
        _figure(variant),
        _verdict(result, variant),
    )


def _figure(variant: Variant) -> str:
    if variant.most is not None:
        return f"≤ {variant.most:g}"
    return f"≥ {variant.beaten.times:g} ours" if variant.beaten is not None else ABSENT


def _verdict(result: Result, variant: Variant) -> str:
    miss = result.miss(variant)
    if miss is None:
        return ABSENT
    return f"{'over' if variant.most is not None else 'short'} by {miss:.1%}" if miss else "ok"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 10.0 else f"{ratio:.0f}"


def _quartiles(ratio: Quartiles) -> str:
    return f"{_ratio(ratio.low)} to {_ratio(ratio.high)}"


def _fact(fact: Fact) -> str:
    verdict = f"over by {fact.excess:.0%}" if fact.excess else "ok"
    return f"  {fact.what:<24}  {fact.value:.3g} {fact.unit}  ≤ {fact.limit:g}  {verdict}"


def _conclusion(report: Report) -> Iterator[str]:
    for line in report.wrong:
        yield f"WRONG ANSWER: {line}"
    misses = [result.miss(each) for result in report.results for each in result.variants]
    judged = [miss for miss in misses if miss is not None] + [fact.excess for fact in report.facts]
    yield f"{sum(not miss for miss in judged)} of {len(judged)} figures are reached."


def _line(cells: Row, widths: Sequence[int]) -> str:
    """Return one line: the first cell to the left and indented, the others to the right."""
    first, *rest = zip(cells, widths, strict=True)
    return "  " + "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)])
