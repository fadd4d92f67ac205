"""The pictures of a race; Matplotlib is loaded once one is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nalr_bench.race.choice import Choice
from nalr_bench.race.engine.result import Key, Result
from nalr_bench.race.options import RATES_PROBLEM
from nalr_bench.race.reports.curves import curves
from nalr_bench.race.reports.report import Report

DPI = 150


@dataclass(frozen=True)
class Drawing:
    """A race, ready to be drawn.

    Attributes
    ----------
    choice : Choice
        What was run.
    report : Report
        How it came out.
    results : mapping of Key to Result
        The runs.
    """

    choice: Choice
    report: Report
    results: Mapping[Key, Result]

    def base_rates(self, path: Path) -> None:
        """Save each method's final loss over the base rate."""
        from nalr_bench.race.reports.base_rates import plot_base_rates

        plot_base_rates(self.report.to_dict()).savefig(path, dpi=DPI)

    def rates(self, path: Path, problem: str | None) -> None:
        """Save the rates of our first method on a problem, beside those of the hand-tuned linear decay."""
        from nalr_bench.race.reports.base_rates import plot_rates

        names = [entry.name for entry in self.choice.entries]
        problem = problem or (RATES_PROBLEM if RATES_PROBLEM in names else names[0])
        ours = [each for each in self.choice.contenders if each.takes_rate and each.tuning_free]
        method = (ours or self.choice.contenders)[0]
        tuned = (problem, f"{method.optimizer} linear")
        best = next((each for each in self.report.tuned if (each.problem, each.contender) == tuned), None)
        plot_rates(curves(self.results, problem, method.name, 0, best)).savefig(path, dpi=DPI)
