"""A step of training in several variants, what each may cost, and what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PLAIN = "without"
"""The variant that all others are divided by."""

Step = Callable[[], Any]


class Quartiles(NamedTuple):
    """Of a ratio over the rounds: what disturbs a round disturbs both of its sides."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Beats:
    """Which of our variants is to be cheaper, and how many times: of the whole time, not of what is added."""

    ours: str
    times: float = 1.0


@dataclass(frozen=True)
class Variant:
    """One way to make the step.

    Attributes
    ----------
    name : str
        What is printed.
    step : callable
        Makes one whole step.
    most : float or None
        What the ratio to `PLAIN` may be; None for rivals and for what is only shown.
    beaten : Beats or None
        For a rival, by which of ours.
    period : int
        Steps that are timed together at least: those in which a rival does its work once.
    """

    name: str
    step: Step = field(repr=False)
    most: float | None = None
    beaten: Beats | None = None
    period: int = 1


@dataclass(frozen=True)
class Job:
    """Variants whose answers were asserted, `PLAIN` among them, and a line for each that cannot run."""

    variants: list[Variant]
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """What is to be timed; `prepare` makes models and data, so that only one study's lie in memory.

    Attributes
    ----------
    name, title : str
        Of `options.STUDIES`, and one line.
    prepare : callable
        Makes the job, and raises `WrongAnswer` if variants do not agree.
    """

    name: str
    title: str
    prepare: Callable[[], Job] = field(repr=False)


@dataclass(frozen=True)
class Result:
    """Seconds a step of each variant in each round; nan in rounds that it sat out."""

    study: Study
    variants: list[Variant]
    rounds: dict[str, list[float]]

    def seconds(self, name: str) -> float:
        """Return the median of its rounds."""
        return statistics.median(x for x in self.rounds[name] if not math.isnan(x))

    def ratio(self, name: str, base: str = PLAIN) -> Quartiles:
        """Return the quartiles over rounds of its time ÷ the base's."""
        pairs = zip(self.rounds[name], self.rounds[base], strict=True)
        ratios = [a / b for a, b in pairs if not math.isnan(a + b)]
        if len(ratios) < 2:
            return Quartiles(ratios[0], ratios[0], ratios[0])
        return Quartiles(*statistics.quantiles(ratios, n=4, method="inclusive"))

    def miss(self, variant: Variant) -> float | None:
        """Return by what share its figure was missed, 0 if it was reached; None where there is none."""
        if variant.most is not None:
            return max(self.ratio(variant.name).median / variant.most - 1.0, 0.0)
        if variant.beaten is not None and variant.beaten.ours in self.rounds:
            reached = self.ratio(variant.name, variant.beaten.ours).median
            return max(1.0 - reached / variant.beaten.times, 0.0)
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as dicts, strings and numbers, as JSON has them."""
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
