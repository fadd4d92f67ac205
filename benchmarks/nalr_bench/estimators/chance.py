"""Biases compared with chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NOTABLE = 2.0


@dataclass(frozen=True)
class Chance:
    """Standardised biases compared with as many independent normals.

    Attributes
    ----------
    count : int
        Number of biases.
    beyond, expected : float
        How many are beyond `NOTABLE` standard errors, and how many would be by chance.
    worst, probability : float
        The largest, and the probability of one as large by chance.
    """

    count: int
    beyond: int
    expected: float
    worst: float
    probability: float

    @classmethod
    def of(cls, scores: Sequence[float]) -> Chance:
        """Compare `scores`, at least one, with normals.

        Examples
        --------
        >>> Chance.of([0.5, -2.5]).beyond
        1
        """
        sizes = [abs(score) for score in scores]
        worst, count = max(sizes), len(sizes)
        return cls(
            count,
            sum(size > NOTABLE for size in sizes),
            count * _beyond(NOTABLE),
            worst,
            -math.expm1(count * math.log1p(-_beyond(worst))) if worst > 0.0 else 1.0,
        )


def _beyond(size: float) -> float:
    """Return the two-sided tail probability of a normal."""
    return math.erfc(size / math.sqrt(2.0))
