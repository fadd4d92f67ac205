"""What the learning rate did and why: its course, and its phases as straight lines of the logarithm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.policies.base import Reason
from nalr.reporting.run import Run, ends, extreme
from nalr.reporting.words import at_step, factor, number, percent, section, step

Array = NDArray[np.float64]

NOTABLE = math.log(1.25)
"""Change of log η below which the rate was held: a quarter more or less hardly shows in a run's loss."""

MOST_PHASES = 8
"""More lines than one reads; above it the lines are fitted more coarsely."""

SHORT = 0.02
"""Share of the run below which a pause between two moves is left out."""

MOST_POINTS = 4096
"""Rates that the lines are fitted to, evenly taken from longer records: cuts last, so none is missed."""

RISES = ("ramped", "grew", "kicked")
FALLS = ("shrank", "backed off", "was cut", "stepped down", "went back", "cooled", "annealed")
"""What a move is called: families of `nalr.policies.Reason`; without one it "rose" or "fell"."""

PASSIVE = [reason.value for reason in (Reason.HOLD, Reason.RAMP, Reason.GROW, Reason.BOUND)]
"""Reasons that never lower the rate themselves: where it falls under them, the planned descent goes on."""


@dataclass(frozen=True, slots=True)
class RateCourse:
    """Where the learning rate began, ended and was highest, and at which step; nan where nothing is known."""

    start: float
    end: float
    peak: float
    peak_step: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run in which the learning rate did one thing.

    Attributes
    ----------
    kind : str
        What it did: "ramped", "grew", "kicked", "rose"; "held", "varied"; "shrank", "backed off", "was cut",
        "stepped down", "went back", "cooled", "annealed", "fell".
    first_step, last_step : float
        Where the phase begins and ends.
    lr_from, lr_to : float
        The rate there.
    reasons : dict of str to int
        How often each reason stands in the recorded steps of it, most frequent first.
    """

    kind: str
    first_step: float
    last_step: float
    lr_from: float
    lr_to: float
    reasons: Mapping[str, int]


def rate_course(columns: Mapping[str, NDArray[Any]]) -> RateCourse:
    """Return the course of `lr`."""
    return RateCourse(*ends(columns["lr"]), *extreme(columns["lr"], columns["step"], np.argmax))


def phases_of(run: Run) -> tuple[Phase, ...]:
    """Return the phases of a run; none where fewer than two rates can be drawn on a logarithmic axis."""
    step, lr, reason = (run.columns[name] for name in ("step", "lr", "reason"))
    usable = np.isfinite(step) & np.isfinite(lr) & (lr > 0.0) & ~np.isin(reason, reasons_of("single step"))
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
    """Return the name of a move: the family of the reasons that made most of it."""
    if direction == 0:
        return "held" if np.ptp(heights) < 2.0 * NOTABLE else "varied"
    changes = direction * np.diff(heights)
    made = {family: 0.0 for family in (RISES if direction > 0 else FALLS)}
    for family in made:
        named = reasons_of(family)
        if family == "annealed":
            named += PASSIVE
        made[family] = float(changes[np.isin(reasons, named)].sum())
    kind = max(made, key=made.__getitem__)
    return kind if made[kind] > 0.0 else "rose" if direction > 0 else "fell"


def reasons_of(family: str) -> list[str]:
    """Return the reasons of a family."""
    return [reason.value for reason in Reason if reason.family == family]


def rate_section(base_lr: float, rate: RateCourse, phases: tuple[Phase, ...]) -> list[str]:
    """Return the lines of the page on the rate; `base_lr` is nan where it is not known."""
    if not math.isfinite(rate.start):
        return []
    base, name = (base_lr, "base rate") if math.isfinite(base_lr) else (rate.start, "first rate")
    lines = [
        f"{number(rate.start)} -> {number(rate.end)}, highest {number(rate.peak)}{at_step(rate.peak_step)}"
    ]
    if base > 0.0:
        lines.append(
            f"{name} {number(base)}: the highest was {factor(rate.peak / base)} that, the last "
            f"{factor(rate.end / base)}"
        )
    return section("Learning rate", lines + [_phase_line(phase) for phase in phases])


def _phase_line(phase: Phase) -> str:
    total = sum(phase.reasons.values())
    main = [f"{name} {percent(count / total)}" for name, count in list(phase.reasons.items())[:3]]
    course = f"{number(phase.lr_from)} -> {number(phase.lr_to)}"
    steps = f"{step(phase.first_step)} - {step(phase.last_step)}"
    return f"steps {steps:<15} {phase.kind:<10} {course:<22} {', '.join(main)}".rstrip()


def reasons_section(reasons: Mapping[str, int]) -> list[str]:
    """Return the lines of the page on how often each reason decided, with what it means."""
    total, meanings = sum(reasons.values()), {reason.value: reason.meaning for reason in Reason}
    return section(
        "Why",
        [
            f"{name:<15} {count:>7} {percent(count / total):>6}  {meanings.get(name, '')}".rstrip()
            for name, count in reasons.items()
        ],
    )
