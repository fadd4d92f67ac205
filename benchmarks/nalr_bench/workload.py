"""Workloads, their rivals, and their results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OURS = "nalr"
BANDWIDTH = "bandwidth"
"""The rival that only moves the same bytes: the bound of this machine."""


class WrongAnswer(AssertionError):
    """Two computations of the same quantity disagree."""


def agree(what: str, got: float, expected: float, tolerance: float) -> None:
    """Raise `WrongAnswer` unless `got` is within the relative `tolerance` of `expected`; nan never is."""
    if not abs(got - expected) <= tolerance * abs(expected):
        raise WrongAnswer(f"{what} is {got!r}, expected {expected!r} within {tolerance:g} of it")


@dataclass(frozen=True)
class Against:
    """A rival, and the speed-up to reach over it; None where it is only shown."""

    rival: str
    times: float | None = None


@dataclass(frozen=True)
class Runnable:
    """A call to time, and the bytes that it reads and writes; 0 where they do not matter."""

    call: Callable[[], Any]
    num_bytes: int = 0


@dataclass(frozen=True)
class Job:
    """A workload with its data.

    Attributes
    ----------
    runnables : dict of str to Runnable
        Ours under `OURS`, and each rival that is installed.
    check : callable
        Raises `WrongAnswer` if they disagree; calls each of them, which compiles them.
    """

    runnables: dict[str, Runnable]
    check: Callable[[], None]


@dataclass(frozen=True)
class Workload:
    """Something to measure; `prepare` makes the data, so that only one workload's is in memory.

    Attributes
    ----------
    group, work : str
        Key of `options.GROUPS`, and a name within it.
    rows, dimension : int
        B and D; B is 0 without rows.
    threads : int
        Threads of the kernels and of torch.
    against : tuple of Against
        The rivals and figures.
    prepare : callable
        Makes the job.
    """

    group: str
    work: str
    rows: int
    dimension: int
    threads: int
    against: tuple[Against, ...]
    prepare: Callable[[], Job] = field(repr=False)

    @property
    def title(self) -> str:
        """One line."""
        size = f"{self.rows} × {self.dimension}" if self.rows else f"{self.dimension}"
        return f"{self.group}: {self.work}, {size}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True)
class Result:
    """Seconds per call of each runnable in each round; nan in rounds that it sat out."""

    workload: Workload
    num_bytes: dict[str, int]
    rounds: dict[str, list[float]]

    def seconds(self, name: str) -> float:
        """Return the median of its rounds."""
        return statistics.median(x for x in self.rounds[name] if not math.isnan(x))

    def speed(self, name: str) -> float:
        """Return its GB (10⁹ bytes) per second; 0 where bytes do not matter."""
        return self.num_bytes[name] / self.seconds(name) / 1e9

    def ratio(self, rival: str) -> float | None:
        """Return our speed over that of `rival`, by bytes: the median over rounds; None if it did not run."""
        if rival not in self.rounds:
            return None
        ours, theirs = self.num_bytes[OURS] or 1, self.num_bytes[rival] or 1
        pairs = zip(self.rounds[OURS], self.rounds[rival], strict=True)
        both = [b / a for a, b in pairs if not math.isnan(a + b)]
        return statistics.median(both) * ours / theirs

    def shortfalls(self) -> dict[str, float]:
        """Return the share by which each missed figure was missed."""
        missed = {}
        for each in self.workload.against:
            ratio = self.ratio(each.rival)
            if each.times is not None and ratio is not None and ratio < each.times:
                missed[each.rival] = 1.0 - ratio / each.times
        return missed

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        work = self.workload
        return {
            "group": work.group,
            "work": work.work,
            "rows": work.rows,
            "dimension": work.dimension,
            "threads": work.threads,
            "seconds": {name: self.seconds(name) for name in self.rounds},
            "gigabytes_per_second": {n: self.speed(n) for n in self.rounds if self.num_bytes[n]},
            "rounds": {n: sum(not math.isnan(x) for x in each) for n, each in self.rounds.items()},
            "ratios": {name: self.ratio(name) for name in self.rounds if name != OURS},
            "figures": {each.rival: each.times for each in work.against if each.times is not None},
            "short_by": self.shortfalls(),
        }


@dataclass(frozen=True)
class Fact:
    """A number with an upper limit."""

    group: str
    what: str
    value: float
    unit: str
    limit: float

    @property
    def excess(self) -> float:
        """The excess over the limit as a share of it; 0 below it."""
        return max(self.value / self.limit - 1.0, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "group": self.group,
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "limit": self.limit,
            "excess": self.excess,
        }
