"""What the rows within the steps say of the errors of |G|² and tr Σ, added up over steps."""

from __future__ import annotations

import math
from typing import NamedTuple

from nalr.statistics.long_run import Covariance

PRIOR = 2.0
"""Weight of the assumption that G lies as the noise does, in standard errors of |G|² of pure noise, in the
growth of the variance of |G|² with |G|². From 1 to 3 makes no difference of a per cent in coverage."""


class Within(NamedTuple):
    """Errors of one step's |G|² and tr Σ.

    The variance of |G|² has two parts, one from single rows and one from pairs of rows.

    Attributes
    ----------
    rows : float
        4 GᵀΣG/B, from single rows: it grows with |G|². An unbiased estimate, which may be negative.
    pairs : float
        2 tr Σ²/(b²k(k − 1)), from pairs of rows, which is there without any signal.
    per_signal : float
        What a unit of |G|² adds to the first part if G lies as the noise does: 4 tr Σ²/(B tr Σ).
    both : float
        Covariance of |G|² and tr Σ.
    variance : float
        Variance of tr Σ.
    rows_freedom, pairs_freedom : float
        Degrees of freedom behind the parts; those of `variance` are the first.
    """

    rows: float
    pairs: float
    per_signal: float
    both: float
    variance: float
    rows_freedom: float
    pairs_freedom: float

    def of_sample(self, share: float) -> Within:
        """Return the same for rows that are so large a share of the population, without replacement."""
        left = max(1.0 - share, 0.0)
        return self._replace(
            rows=left * self.rows,
            pairs=left * left * self.pairs,
            per_signal=left * self.per_signal,
            both=left * self.both,
            variance=left * self.variance,
        )


class WithinSums(NamedTuple):
    """Σ decay^(2 age) of the errors of every step, as those of a decayed average need them."""

    rows: float = 0.0
    pairs: float = 0.0
    per_signal: float = 0.0
    both: float = 0.0
    variance: float = 0.0
    rows_freedom: float = 0.0  # these two are plain sums
    pairs_freedom: float = 0.0

    def added(self, decay: float, new: Within | None) -> WithinSums | None:
        """Return the sums with one more step, which ages the others; None where its errors are not known."""
        if new is None:
            return None
        square = decay * decay
        return WithinSums(
            square * self.rows + new.rows,
            square * self.pairs + new.pairs,
            square * self.per_signal + new.per_signal,
            square * self.both + new.both,
            square * self.variance + new.variance,
            self.rows_freedom + new.rows_freedom,
            self.pairs_freedom + new.pairs_freedom,
        )

    def merged(self, other: WithinSums | None) -> WithinSums | None:
        """Return the sums of both, which saw different rows of the same steps; None where the other is."""
        if other is None:
            return None
        return WithinSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def covariance(self, signal: float, weight: float) -> Covariance:
        """Return that of averages whose weights add up to `weight`, the first of which is `signal`.

        How much the variance of |G|² grows with |G|² is the measured part of the rows over |G|²; where |G|²
        is not above its error, that is noise over noise, and the noise's own directions stand in.
        """
        scale = 1.0 / (weight * weight)
        pairs, variance = scale * self.pairs, scale * self.variance
        signal, prior = max(signal, 0.0), PRIOR * math.sqrt(pairs)
        known = signal + prior
        slope = scale * (max(self.rows, 0.0) + prior * self.per_signal) / known if known else 0.0
        grown = slope * signal
        limit = math.sqrt((pairs + grown) * variance)  # a correlation beyond ±1 is none
        both = min(max(scale * self.both, -limit), limit)
        rows_freedom = max(self.rows_freedom, 1.0)
        spread = pairs * pairs / max(self.pairs_freedom, 1.0) + grown * grown / rows_freedom
        first_freedom = (pairs + grown) ** 2 / spread if spread > 0.0 else rows_freedom  # Satterthwaite 1946
        return Covariance(pairs, both, variance, rows_freedom, slope, max(first_freedom, 1.0))
