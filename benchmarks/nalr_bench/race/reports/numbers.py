"""Scores, cells and counts of steps as short text."""

from __future__ import annotations

import math

from nalr_bench.race.engine.plan import SCORED
from nalr_bench.race.scoring.standing import Cell, Standing
from nalr_bench.tables import ABSENT, number

FACTORS = f"base rates b from 1e{math.log10(SCORED[0]):.0f} to {SCORED[-1]:g} times the natural one"
"""What the score is taken over."""


def score(standing: Standing) -> str:
    """Return the score, its interval if there is one, and how much of the race it stands on if not all."""
    text = number(standing.score)
    if not math.isnan(standing.low):
        text += f" [{number(standing.low)}, {number(standing.high)}]"
    if standing.num_cells < standing.expected:
        text += f" ({standing.num_cells} of {standing.expected} cells)"
    return text


def worst(cell: Cell | None) -> str:
    """Return the regret of a cell and where it is."""
    if cell is None:
        return ABSENT
    where = cell.problem if math.isnan(cell.factor) else f"{cell.problem}, b = {cell.factor:g}"
    return f"{number(cell.regret)} ({where})"


def steps(count: float) -> str:
    """Return a number of steps that may be infinite."""
    return "never" if math.isinf(count) else ABSENT if math.isnan(count) else f"{count:.0f}"
