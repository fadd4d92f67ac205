"""Readings of trace and diagonal from random probes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from nalr.curvature.probe_average import ProbeAverage
from nalr.statistics.mean_interval import Interval, mean_interval

Vector = NDArray[np.float64]

FEWEST = 8
"""Fewest probes for intervals of nominal coverage; below, values may agree by chance."""


class TraceStatus(str, Enum):
    """Status of an estimate from probes; the value is the message to show."""

    OK = "ok"
    EXACT = "exact: the budget covered the product with every unit vector"
    REACHED = "the requested error was reached"
    SPENT = "the budget was spent before the requested error was reached"
    FEW = f"fewer than {FEWEST} probes: the interval may be too narrow"
    NONFINITE = "some products were not finite and were left out: the rest may not be representative"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class TraceReading:
    """An estimate of tr H; returned by `trace`.

    Attributes
    ----------
    trace : float
        The estimate; nan where no product was finite.
    standard_error : float
        Of `trace`, from the spread of the probes (n − 1); nan before two of them, 0 where it is exact.
    interval : (float, float)
        At the level `confidence`: Student's t, widened towards the skew of the values.
    confidence : float
        The level.
    num_products : int
        Products Hv made, including those that were not finite.
    nonfinite : int
        Products that were not finite.
    status : TraceStatus
        Whether the numbers can be relied on, as a readable sentence.
    values : tuple of float
        vᵀHv of each probe, in order; for Hutch++ of the remainder. Empty for an exact reading.
    offset : float
        The part that is exact: tr QᵀHQ for Hutch++, else 0.
    seeds : tuple of int
        Of the probes of `values`.
    """

    trace: float
    standard_error: float
    interval: Interval
    confidence: float
    num_products: int
    nonfinite: int
    status: TraceStatus
    values: tuple[float, ...] = field(default=(), repr=False)
    offset: float = field(default=0.0, repr=False)
    seeds: tuple[int, ...] = field(default=(), repr=False)

    def merge(self, other: TraceReading) -> TraceReading:
        """Return the reading of both sets of probes, as of workers with different seeds.

        Raises
        ------
        ValueError
            If the two share a seed, and so probes, or one is not made of Hutchinson's probes alone.

        Examples
        --------
        >>> from nalr import HutchinsonEstimator
        >>> matrix = np.ones((100, 100))
        >>> first, second = (HutchinsonEstimator(num_probes=20, seed=s).trace(matrix) for s in (0, 1))
        >>> first.merge(second).num_products
        40
        """
        _check_distinct(self.seeds, other.seeds)
        if self.offset or other.offset:
            raise ValueError("`other` must be made of Hutchinson's probes alone, got a reading of Hutch++.")
        nonfinite = self.nonfinite + other.nonfinite
        values = (*self.values, *other.values)
        return trace_reading(
            values,
            self.confidence,
            num_products=self.num_products + other.num_products,
            nonfinite=nonfinite,
            status=status_of(len(values), nonfinite),
            seeds=(*self.seeds, *other.seeds),
        )


@dataclass(frozen=True, slots=True, eq=False)
class DiagonalReading:
    """An estimate of the diagonal of H; returned by `HutchinsonEstimator.diagonal`.

    Attributes
    ----------
    diagonal : array of shape (D,)
        The estimate; nan where no product was finite.
    standard_error : array of shape (D,)
        Of each coordinate, from the spread of the probes (n − 1); nan before two of them.
    num_products : int
        Products Hv made, including those that were not finite.
    nonfinite : int
        Products that were not finite.
    status : TraceStatus
        Whether the numbers can be relied on, as a readable sentence.
    average : ProbeAverage, optional
        The running mean and variance to resume from; None for an exact reading.
    seeds : tuple of int
        Of the probes.
    """

    diagonal: Vector
    standard_error: Vector
    num_products: int
    nonfinite: int
    status: TraceStatus
    average: ProbeAverage | None = field(default=None, repr=False)
    seeds: tuple[int, ...] = field(default=(), repr=False)

    def merge(self, other: DiagonalReading) -> DiagonalReading:
        """Return the reading of both sets of probes, as of workers with different seeds.

        Raises
        ------
        ValueError
            If the two share a seed, and so probes, or differ in length, or one is exact.
        """
        _check_distinct(self.seeds, other.seeds)
        assert self.average is not None and other.average is not None
        average = copy_of(self.average).merge(other.average)
        return diagonal_reading(
            average, status_of(average.count, average.nonfinite), (*self.seeds, *other.seeds)
        )


def trace_reading(
    values: Sequence[float],
    confidence: float,
    *,
    num_products: int,
    nonfinite: int,
    status: TraceStatus,
    seeds: tuple[int, ...],
    offset: float = 0.0,
) -> TraceReading:
    """Return the reading of `values` of vᵀHv plus an exact `offset`."""
    array = np.array(values, dtype=np.float64)
    n = array.size
    low, high = mean_interval(array, confidence)
    return TraceReading(
        offset + (float(array.mean()) if n else math.nan),
        float(array.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan,
        (offset + low, offset + high),
        confidence,
        num_products,
        nonfinite,
        status,
        tuple(values),
        offset,
        seeds,
    )


def exact_reading(trace: float, confidence: float, num_products: int, status: TraceStatus) -> TraceReading:
    """Return the reading of an exact trace."""
    error = 0.0 if math.isfinite(trace) else math.nan
    nonfinite = 0 if math.isfinite(trace) else 1
    return TraceReading(trace, error, (trace, trace), confidence, num_products, nonfinite, status)


def diagonal_reading(average: ProbeAverage, status: TraceStatus, seeds: tuple[int, ...]) -> DiagonalReading:
    """Return the reading of an average over probes; it holds the average itself, no copy."""
    return DiagonalReading(
        average.diagonal,
        average.diagonal_standard_error,
        average.count + average.nonfinite,
        average.nonfinite,
        status,
        average,
        seeds,
    )


def copy_of(average: ProbeAverage) -> ProbeAverage:
    """Return an independent copy."""
    copy = ProbeAverage(diagonal=average.tracks_diagonal)
    copy.load_state_dict(average.state_dict())
    return copy


def status_of(count: int, nonfinite: int, wanted: bool = False, reached: bool = False) -> TraceStatus:
    """Return the status of an estimate from `count` finite probes; `wanted`: an error was requested."""
    if nonfinite:
        return TraceStatus.NONFINITE
    if reached:
        return TraceStatus.REACHED
    if count < FEWEST:
        return TraceStatus.FEW
    return TraceStatus.SPENT if wanted else TraceStatus.OK


def _check_distinct(mine: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    """Raise for readings that are exact, or that share probes."""
    if not mine or not theirs:
        raise ValueError("`other` must not be merged if either reading is exact: keep that one.")
    shared = set(mine) & set(theirs)
    if shared:
        raise ValueError(f"`other` must come from probes of another seed, got seed {min(shared)} again.")
