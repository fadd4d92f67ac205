"""What chance alone would do to many biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NOTABLE = 2.0


@dataclass(frozen=True)
class Chance:
    """Many standardised biases beside as many independent normals.

    Attributes
    ----------
    count : int
        How many there are.
    beyond, expected : float
        How many are beyond `NOTABLE` standard errors, and how many of as many normals would be.
    worst, probability : float
        The largest of them, and how probable one as large is among as many normals.
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
    """Return how probable a normal beyond `size` on either side is."""
    return math.erfc(size / math.sqrt(2.0))
