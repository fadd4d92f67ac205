"""Reports of measurements: the record, its JSON, and its text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nalr_bench.workload import Fact

ABSENT = "-"

Row = tuple[str, ...]


class Measured(Protocol):
    """A result that JSON can hold."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as dicts, strings and numbers."""


Result = TypeVar("Result", bound=Measured)


@dataclass(frozen=True)
class Report(Generic[Result]):
    """All that a command measured.

    Attributes
    ----------
    machine : dict
        Of `machine.describe`.
    results : list
        Timings.
    facts : list of Fact
        Single numbers.
    wrong : list of str
        A sentence for each comparison whose answers do not agree.
    left_out : list of str
        A line for each thing that was not measured.
    """

    machine: dict[str, Any]
    results: list[Result]
    facts: list[Fact]
    wrong: list[str]
    left_out: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "machine": self.machine,
            "results": [result.to_dict() for result in self.results],
            "facts": [fact.to_dict() for fact in self.facts],
            "wrong": self.wrong,
            "left_out": self.left_out,
        }

    def text(self, table: str, conclusion: str) -> str:
        """Return the machine, the `table` of results, the facts, what is missing, and a `conclusion`."""
        parts = ["\n".join(_machine(self.machine)), table, _facts(self.facts)]
        if self.left_out:
            parts.append("Left out:\n" + "\n".join(f"  {line}" for line in self.left_out))
        parts.append("\n".join([*(f"WRONG ANSWER: {line}" for line in self.wrong), conclusion]))
        return "\n\n".join(part for part in parts if part)

    def show(self, text: str, *, as_json: bool) -> None:
        """Print `text`, or JSON and wrong answers on stderr."""
        print(json.dumps(self.to_dict(), indent=2) if as_json else text, flush=True)
        for line in self.wrong if as_json else ():
            print(f"WRONG ANSWER: {line}", file=sys.stderr)


def grouped(headings: Row, groups: Mapping[str, Sequence[Row]]) -> str:
    """Return a table: one line of headings, then each title with its rows, in columns."""
    if not groups:
        return ""
    widths = _widths([headings, *(row for rows in groups.values() for row in rows)])
    rule = "-" * (sum(widths) + 2 * len(widths))
    lines = [_line(headings, widths), rule]
    for title, rows in groups.items():
        lines += [title, *(_line(row, widths) for row in rows), rule]
    return "\n".join(lines)


def threads_of(count: int) -> str:
    """Return a number of threads in words."""
    return f"{count} thread{'s' if count != 1 else ''}"


def _machine(machine: dict[str, Any]) -> Iterator[str]:
    yield f"{machine['cpu']}, {threads_of(machine['threads'])}"
    yield ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    speeds = (f"{speed:.1f} GB/s on {threads_of(int(n))}" for n, speed in machine["bandwidth"].items())
    yield f"Memory bandwidth: {', '.join(speeds)}."


def _facts(facts: Sequence[Fact]) -> str:
    rows = [
        (
            fact.what,
            f"{fact.value:.3g} {fact.unit}",
            f"≤ {fact.limit:.3g}",
            f"over by {fact.excess:.0%}" if fact.excess else "ok",
        )
        for fact in facts
    ]
    return "\n".join(_line(row, _widths(rows)) for row in rows)


def _widths(rows: Sequence[Row]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _line(cells: Row, widths: Sequence[int]) -> str:
    """Return one line: the first cell left-aligned and indented, the others right-aligned."""
    first, *rest = zip(cells, widths, strict=True)
    return "  " + "  ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)])
