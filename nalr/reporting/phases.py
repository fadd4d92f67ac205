"""What the learning rate did, in phases: its logarithm as a few straight lines, each with a name."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from nalr.reporting.record import Phase
from nalr.reporting.run import Run

Array = NDArray[np.float64]

NOTABLE = math.log(1.25)
"""Change of log η below which the rate was held: a quarter more or less hardly shows in a run's loss."""

MOST_PHASES = 8
"""More lines than one reads; above it the course is told more coarsely."""

SHORT = 0.02
"""Share of the run below which a pause between two moves is not told."""

MOST_POINTS = 4096
"""Rates that the lines are fitted to, evenly taken from longer records: cuts last, so none is missed."""

PASSING = ("clip", "skip")
"""Reasons whose rate is of their own step alone."""

RISES = {"ramped": ("start", "ramp"), "grew": ("grow",), "kicked": ("kick", "kick kept")}
FALLS = {
    "shrank": ("shrink",),
    "backed off": ("edge",),
    "was cut": ("cut", "blow-up"),
    "stepped down": ("stall",),
    "went back": ("kick rolled back",),
    "cooled": ("cool",),
    # The planned descent goes on under reasons that never lower a rate themselves.
    "annealed": ("anneal", "hold", "ramp", "grow", "bound"),
}
"""What a move is called, by the reasons (`nalr.policies.Reason`) that make it; else it "rose" or "fell"."""


def phases_of(run: Run) -> tuple[Phase, ...]:
    """Return the phases of a run; none where fewer than two rates can be drawn on a logarithmic axis."""
    step, lr, reason = (run.columns[name] for name in ("step", "lr", "reason"))
    usable = np.isfinite(step) & np.isfinite(lr) & (lr > 0.0) & ~np.isin(reason, PASSING)
    step, lr, reason = step[usable], lr[usable], reason[usable]
    if step.size < 2:
        return ()
    height = np.log(lr)
    tolerance = NOTABLE
    points = np.unique([*range(0, step.size, -(-step.size // MOST_POINTS)), step.size - 1])
    x, y = step[points], height[points]
    while len(pieces := _merged(_corners(x, y, tolerance), x, y, tolerance)) > MOST_PHASES:
        tolerance *= 2.0
    whole = [(int(points[a]), int(points[b]), direction) for a, b, direction in pieces]
    return tuple(
        Phase(
            _kind(height[a : b + 1], reason[a + 1 : b + 1], direction),
            float(step[a]),
            float(step[b]),
            float(lr[a]),
            float(lr[b]),
            dict(Counter(each for each in reason[a + (a > 0) : b + 1].tolist() if each).most_common()),
        )
        for a, b, direction in whole
    )


def _corners(x: Array, y: Array, tolerance: float) -> list[int]:
    """Return the points that a line through them needs to pass within `tolerance` of all.

    Douglas and Peucker (1973), by vertical distance.
    """
    corners, open_pieces = [0], [(0, len(x) - 1)]
    while open_pieces:
        a, b = open_pieces.pop()
        line = np.interp(x[a : b + 1], [x[a], x[b]], [y[a], y[b]])
        distance = np.abs(y[a : b + 1] - line)
        middle = a + int(np.argmax(distance))
        if a < middle < b and distance[middle - a] > tolerance:
            open_pieces += [(middle, b), (a, middle)]  # the left one comes next
        else:
            corners.append(b)
    return corners


def _merged(corners: list[int], x: Array, y: Array, tolerance: float) -> list[tuple[int, int, int]]:
    """Return (from, to, direction) of neighbours that go the same way, and of no short pauses."""
    pieces: list[tuple[int, int, int]] = []
    least = SHORT * (x[-1] - x[0])
    for a, b in zip(corners, corners[1:], strict=False):
        change = y[b] - y[a]
        direction = 0 if abs(change) < tolerance else int(np.sign(change))
        if pieces and (direction == pieces[-1][2] or (direction == 0 and x[b] - x[a] < least)):
            a, _, direction = pieces.pop()
        elif len(pieces) == 1 and pieces[0][2] == 0 and x[a] - x[0] < least:
            a = pieces.pop()[0]  # a short pause at the very start
        pieces.append((a, b, direction))
    return pieces


def _kind(heights: Array, reasons: NDArray[np.str_], direction: int) -> str:
    """Return the name of a move, by the reasons that made most of it."""
    if direction == 0:
        return "held" if np.ptp(heights) < 2.0 * NOTABLE else "varied"
    changes = np.diff(heights)
    families = RISES if direction > 0 else FALLS
    made = {
        kind: direction * float(changes[np.isin(reasons, family)].sum()) for kind, family in families.items()
    }
    kind = max(made, key=made.__getitem__)
    return kind if made[kind] > 0.0 else "rose" if direction > 0 else "fell"
