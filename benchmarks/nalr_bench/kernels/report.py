"""The text of the report of `nalr bench`."""

from __future__ import annotations

from nalr_bench.kernels.options import GROUPS
from nalr_bench.report import Report, threads_of
from nalr_bench.tables import ABSENT, Row, grouped
from nalr_bench.workload import BANDWIDTH, OURS, Result

HEADINGS = ("work", "size", "GB/s", "of bandwidth", "× NumPy", "× torch", "× other", "figure", "verdict")
COLUMNS = (BANDWIDTH, "NumPy", "torch")
NAMES = {BANDWIDTH: "bw"}


def render(report: Report[Result]) -> str:
    """Return the report as text: machine, results in groups, facts, what is missing."""
    groups: dict[str, list[Row]] = {}
    for result in report.results:
        groups.setdefault(_heading(result), []).append(_cells(result))
    return report.text(grouped(HEADINGS, groups), _conclusion(report))


def _heading(result: Result) -> str:
    work = result.workload
    return f"{work.group}: {GROUPS[work.group]}, {threads_of(work.threads)}"


def _cells(result: Result) -> Row:
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


def _conclusion(report: Report[Result]) -> str:
    verdicts = [bool(result.shortfalls()) for result in report.results]
    verdicts += [fact.excess > 0.0 for fact in report.facts]
    return f"{verdicts.count(False)} of {len(verdicts)} rows reach their figures or have none."


def _size(number: int) -> str:
    """Return 1e6 for a power of ten, or a few of one, from 1000 on; other numbers as they are."""
    mantissa, exponent = f"{number:.2e}".split("e")
    text = f"{float(mantissa):g}e{int(exponent)}"
    return text if number >= 1000 and float(text) == number else str(number)


def _short(number: float) -> str:
    return f"{number:.2g}" if number < 10.0 else f"{number:.0f}"
