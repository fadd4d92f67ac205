"""The result of a race on problems in every form; Matplotlib is loaded once something is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nalr_bench import tables
from nalr_bench.race.choice import Choice
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.options import RATES_PROBLEM
from nalr_bench.race.problems.entry import Entry
from nalr_bench.race.reports import ablations, document
from nalr_bench.race.reports.curves import curves
from nalr_bench.race.reports.page import DPI, Page
from nalr_bench.race.reports.report import Report, render
from nalr_bench.race.scoring.score import Score


def problem_page(
    choice: Choice, results: Mapping[Key, Result], epsilons: Mapping[str, float], command: str
) -> Page:
    """Return the page; `epsilons` and `command` as in `Choice.epsilons` and `choice.command`."""
    problems = [entry for entry in choice.entries if isinstance(entry, Entry)]
    score = Score(results, problems, epsilons, choice.methods)
    report = Report(score.standings(), score.tuned())
    records = ablations.compare(report, choice.ablations)

    def plot(path: Path) -> None:
        from nalr_bench.race.reports.base_rates import plot_base_rates

        plot_base_rates(report.to_dict()).savefig(path, dpi=DPI)

    def plot_rates(path: Path, problem: str | None) -> None:
        from nalr_bench.race.reports.base_rates import plot_rates as drawn

        names = [entry.name for entry in choice.entries]
        problem = problem or (RATES_PROBLEM if RATES_PROBLEM in names else names[0])
        ours = [each for each in choice.methods if each.takes_rate and each.tuning_free]
        method = (ours or choice.methods)[0]
        tuned = (problem, f"{method.optimizer} linear")
        best = next((each for each in report.tuned if (each.problem, each.method) == tuned), None)
        drawn(curves(results, problem, method.name, 0, best)).savefig(path, dpi=DPI)

    return Page(
        text=ablations.render(records) if records else render(report),
        found=report.to_dict() | ({"ablations": tables.jsonable(records)} if records else {}),
        document=document.write(report, choice, command, records),
        plot=plot,
        plot_rates=plot_rates,
    )
