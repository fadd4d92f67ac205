"""What was measured, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nalr_bench.kernels.options import GROUPS
from nalr_bench.workload import BANDWIDTH, OURS, Fact, Result

HEADINGS = ("work", "size", "GB/s", "of bandwidth", "× NumPy", "× torch", "× other", "figure", "verdict")
COLUMNS = (BANDWIDTH, "NumPy", "torch")
NAMES = {BANDWIDTH: "bw"}
ABSENT = "-"


@dataclass(frozen=True)
class Report:
    """Everything that `nalr bench` found.

    Attributes
    ----------
    machine : dict
        What `machine.describe` says.
    results : list of Result
        A row of the table each.
    facts : list of Fact
        Single numbers.
    wrong : list of str
        A sentence for each workload whose answers do not agree.
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
    """Return the report as text: the machine, a group of rows for each kind of work, what is missing."""
    parts = ["\n".join(_machine(report.machine))]
    if report.results:
        parts.append(_table(report.results))
    if report.facts:
        parts.append(_facts(report.facts))
    if report.left_out:
        parts.append("Left out:\n" + "\n".join(f"  {line}" for line in report.left_out))
    parts.append(_conclusion(report))
    return "\n\n".join(parts)


def _machine(machine: dict[str, Any]) -> Iterator[str]:
    yield f"{machine['cpu']}, {_threads(machine['threads'])}"
    yield ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    speeds = (f"{speed:.1f} GB/s on {_threads(int(n))}" for n, speed in machine["bandwidth"].items())
    yield f"Memory is read at {', '.join(speeds)}."


def _table(results: Sequence[Result]) -> str:
    groups: dict[str, list[tuple[str, ...]]] = {}
    for result in results:
        groups.setdefault(_heading(result), []).append(_cells(result))
    rows = [HEADINGS, *(row for group in groups.values() for row in group)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADINGS))]
    rule = "-" * (sum(widths) + 2 * len(widths))
    lines = [_line(HEADINGS, widths), rule]
    for heading, group in groups.items():
        lines += [heading, *(_line(row, widths) for row in group), rule]
    return "\n".join(lines)


def _heading(result: Result) -> str:
    work = result.workload
    return f"{work.group}: {GROUPS[work.group]}, {_threads(work.threads)}"


def _cells(result: Result) -> tuple[str, ...]:
    work = result.workload
    known = {each.rival: result.ratio(each.rival) for each in work.against}
    ratios = {rival: ratio for rival, ratio in known.items() if ratio is not None}
    others = [f"{_short(ratio)} {rival}" for rival, ratio in ratios.items() if rival not in COLUMNS]
    size = f"{work.rows} × {_size(work.dimension)}" if work.rows > 1 else _size(work.dimension)
    return (
        work.work,
        size,
        f"{result.speed(OURS):.1f}" if result.num_bytes[OURS] else ABSENT,
        f"{ratios[BANDWIDTH]:.2f}" if BANDWIDTH in ratios else ABSENT,
        *(_short(ratios[name]) if name in ratios else ABSENT for name in COLUMNS[1:]),
        ", ".join(others) or ABSENT,
        _figures(result) or ABSENT,
        _verdict(result),
    )


def _figures(result: Result) -> str:
    wanted = [each for each in result.workload.against if each.times is not None]
    return ", ".join(f"{_short(each.times or 0.0)} {NAMES.get(each.rival, each.rival)}" for each in wanted)


def _verdict(result: Result) -> str:
    missed = result.shortfalls()
    if missed:
        worst = max(missed, key=missed.__getitem__)
        return f"short by {missed[worst]:.1%} ({worst})"
    judged = [e for e in result.workload.against if e.times is not None and e.rival in result.rounds]
    return "ok" if judged else ABSENT


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
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join(_line(row, widths) for row in rows)


def _conclusion(report: Report) -> str:
    verdicts = [bool(result.shortfalls()) for result in report.results]
    verdicts += [fact.excess > 0.0 for fact in report.facts]
    missed = sum(verdicts)
    lines = [f"WRONG ANSWER: {line}" for line in report.wrong]
    lines.append(f"{len(verdicts) - missed} of {len(verdicts)} rows reach their figures or have none.")
    return "\n".join(lines)


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count != 1 else ''}"


def _size(number: int) -> str:
    """Return powers of ten from 1000 on as 1e3, other numbers with three digits or as they are."""
    text = f"{number:.2e}".replace("e+0", "e").replace("e+", "e")
    mantissa, exponent = text.split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return (
        f"{mantissa}e{exponent}"
        if number >= 1000 and float(f"{mantissa}e{exponent}") == number
        else str(number)
    )


def _short(number: float) -> str:
    return f"{number:.2g}" if number < 10.0 else f"{number:.0f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line: the first cell to the left and indented, the others to the right."""
    first, *rest = (
        f"{cell:{'<' if k == 0 else '>'}{width}}"
        for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  " + "  ".join([first, *rest])
