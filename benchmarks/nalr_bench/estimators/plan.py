"""The cells of a simulation."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nalr_bench.estimators.bias import SOURCES, Shifted
from nalr_bench.estimators.cell import Cell
from nalr_bench.estimators.correlated import CorrelatedSteps
from nalr_bench.estimators.faint import Faint
from nalr_bench.estimators.hutchinson import SPECTRA, Trace
from nalr_bench.estimators.many_steps import Epochs, IndependentSteps
from nalr_bench.estimators.one_step import OneStep

DRAWS, QUICK_DRAWS = 10_000, 400


@dataclass(frozen=True)
class Plan:
    """Cells in the order of the table, draws of each, and the seed of all."""

    cells: list[Cell]
    draws: int
    seed: int


def plan(quick: bool, only: Collection[str] | None, draws: int | None, seed: int) -> Plan:
    """Return the cells that the options ask for."""
    cells = [cell for cell in _cells(quick) if only is None or cell.study in only]
    return Plan(cells, draws or (QUICK_DRAWS if quick else DRAWS), seed)


def _cells(quick: bool) -> list[Cell]:
    dims = (10, 100, 1000) if quick else (10, 100, 1000, 10_000, 100_000)
    ratios = (1.0, 1e-2)
    lengths = (16, 64, 400) if quick else (16, 64, 400, 2000)
    return [
        *(Shifted(source, dim) for source in SOURCES for dim in dims),
        *(Faint(weight) for weight in (8.0, 1.0)),
        *(
            OneStep(num_rows, dim, ratio)
            for num_rows in (8, 16, 32, 64)
            for dim in (10, 100, 1000)
            for ratio in (1.0, 1e-2, 1e-4)
        ),
        *(IndependentSteps(ratio, lengths) for ratio in ratios),
        *(CorrelatedSteps(ratio, lengths[1:]) for ratio in ratios),
        *(
            OneStep(num_rows, 100, ratio, population)
            for num_rows, population in ((8, 1000), (32, 1000), (16, 64), (32, 64))
            for ratio in ratios
        ),
        *(Epochs(ratio) for ratio in ratios),
        *(Trace(spectrum) for spectrum in SPECTRA),
    ]
