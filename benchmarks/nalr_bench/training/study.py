"""Variants of a training step, their figures, and their results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PLAIN = "without"
"""The variant to which others are compared."""

Step = Callable[[], Any]


class Quartiles(NamedTuple):
    """Quartiles of a ratio over the rounds."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Beats:
    """Which of our variants should be cheaper, and by what factor of the whole time."""

    ours: str
    times: float = 1.0


@dataclass(frozen=True)
class Variant:
    """One form of the step.

    Attributes
    ----------
    most : float or None
        Limit of the ratio to `PLAIN`; None for rivals and for what is only shown.
    beaten : Beats or None
        For a rival, by which of ours.
    period : int
        Steps in which a rival does its work once; they are timed together.
    """

    name: str
    step: Step = field(repr=False)
    most: float | None = None
    beaten: Beats | None = None
    period: int = 1


@dataclass(frozen=True)
class Job:
    """Variants with checked answers, including `PLAIN`, and a line for each that cannot run."""

    variants: list[Variant]
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """Something to measure; `prepare` makes the job, or raises `WrongAnswer` if variants disagree.

    Models and data are made there, so that only one study's are in memory.
    """

    name: str
    title: str
    prepare: Callable[[], Job] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """Seconds per step of each variant in each round; nan in rounds that it sat out."""

    study: Study
    variants: list[Variant]
    rounds: dict[str, list[float]]

    def seconds(self, name: str) -> float:
        """Return the median of its rounds."""
        return statistics.median(x for x in self.rounds[name] if not math.isnan(x))

    def ratio(self, name: str, base: str = PLAIN) -> Quartiles:
        """Return the quartiles over rounds of its time divided by the base's."""
        pairs = zip(self.rounds[name], self.rounds[base], strict=True)
        ratios = [a / b for a, b in pairs if not math.isnan(a + b)]
        if len(ratios) < 2:
            return Quartiles(ratios[0], ratios[0], ratios[0])
        return Quartiles(*statistics.quantiles(ratios, n=4, method="inclusive"))

    def miss(self, variant: Variant) -> float | None:
        """Return the share by which its figure was missed, 0 if reached; None without one."""
        if variant.most is not None:
            return max(self.ratio(variant.name).median / variant.most - 1.0, 0.0)
        if variant.beaten is not None and variant.beaten.ours in self.rounds:
            reached = self.ratio(variant.name, variant.beaten.ours).median
            return max(1.0 - reached / variant.beaten.times, 0.0)
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "study": self.study.name,
            "title": self.study.title,
            "variants": {each.name: self._variant(each) for each in self.variants},
        }

    def _variant(self, variant: Variant) -> dict[str, Any]:
        beaten = variant.beaten
        known = beaten is not None and beaten.ours in self.rounds
        return {
            "seconds": self.seconds(variant.name),
            "rounds": sum(not math.isnan(x) for x in self.rounds[variant.name]),
            "ratio": self.ratio(variant.name)._asdict(),
            "most": variant.most,
            "ours": beaten.ours if beaten is not None else None,
            "times": beaten.times if beaten is not None else None,
            "ratio_to_ours": self.ratio(variant.name, beaten.ours)._asdict() if beaten and known else None,
            "miss": self.miss(variant),
        }
