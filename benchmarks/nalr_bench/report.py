"""Reports of measurements: the record, its JSON, and its text."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nalr_bench.tables import line, widths_of
from nalr_bench.workload import Fact


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
            parts.append("Left out:\n" + "\n".join(f"  {each}" for each in self.left_out))
        parts.append("\n".join([*(f"WRONG ANSWER: {each}" for each in self.wrong), conclusion]))
        return "\n\n".join(part for part in parts if part)

    def show(self, text: str, *, as_json: bool) -> None:
        """Print `text`, or JSON and wrong answers on stderr."""
        print(json.dumps(self.to_dict(), indent=2) if as_json else text, flush=True)
        for each in self.wrong if as_json else ():
            print(f"WRONG ANSWER: {each}", file=sys.stderr)


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
    return "\n".join("  " + line(row, widths_of(rows)) for row in rows)
