"""The text of the report of `nalr bench training`."""

from __future__ import annotations

from nalr_bench.report import Report
from nalr_bench.tables import ABSENT, Row, grouped
from nalr_bench.training.study import PLAIN, Quartiles, Result, Variant

HEADINGS = ("work", "ms a step", "÷ without", "quartiles", "÷ ours", "figure", "verdict")


def render(report: Report[Result]) -> str:
    """Return the report as text: machine, each study, facts, what is missing."""
    groups = {r.study.title: [_cells(r, each) for each in r.variants] for r in report.results}
    misses = [result.miss(each) for result in report.results for each in result.variants]
    judged = [miss for miss in misses if miss is not None] + [fact.excess for fact in report.facts]
    conclusion = f"{sum(not miss for miss in judged)} of {len(judged)} figures are reached."
    return report.text(grouped(HEADINGS, groups), conclusion)


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
