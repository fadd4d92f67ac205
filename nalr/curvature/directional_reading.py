"""Readings of the curvature along the steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from nalr.statistics.averages import DecayedAverages
from nalr.statistics.intervals import student_t_quantile
from nalr.statistics.mean_interval import UNKNOWN, Interval


class DirectionalStatus(str, Enum):
    """Status of a reading; the value is the message to show."""

    OK = "ok"
    NO_DATA = "no step has been followed by a gradient yet"
    ONE_ROW = "one row per step: its noise cannot be estimated, so neither can the curvature"
    FOREIGN = "the steps are not plain SGD steps: pass them as `step`"
    FEW = "too few steps for a standard error yet"
    INSIGNIFICANT = "not distinguishable from zero: measure more steps, or use Hessian products"
    SKIPPED = "the latest step contained values that were not finite and was skipped"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class DirectionalReading:
    """The curvature along the steps; returned by `DirectionalCurvature.reading`.

    Attributes
    ----------
    value : float
        A = uᵀHu with u = s/η, the step over its rate: for plain SGD GᵀHG + tr(HΣ)/B. An average over steps
        weighted by η², which is proportional to their precision.
    standard_error : float
        Of `value`, from blocks of consecutive steps, which accounts for their correlation.
    t_value : float
        `value`, and `curvature`, in standard errors.
    significant : bool
        Whether both differ from zero at the level `confidence`, by Student's t.
    curvature : float
        uᵀHu/|u|², between the smallest and the largest eigenvalue of H.
    curvature_interval : (float, float)
        Its interval; of either sign.
    kappa : float
        κ = η · `curvature` at the latest rate η: 1 is the minimum of the step's line, 2 the edge of stability
        of plain SGD (2(1 + β) of heavy ball).
    kappa_interval : (float, float)
        η times `curvature_interval`.
    count : int
        Steps taken in.
    nonfinite : int
        Gradient values that were nan or infinite; their steps were skipped.
    status : DirectionalStatus
        Whether the numbers can be relied on, as a readable sentence.
    """

    value: float
    standard_error: float
    t_value: float
    significant: bool
    curvature: float
    curvature_interval: Interval
    kappa: float
    kappa_interval: Interval
    count: int
    nonfinite: int
    status: DirectionalStatus


def make_reading(
    averages: DecayedAverages,
    squared_rates: float,
    lr: float,
    confidence: float,
    nonfinite: int,
    trouble: DirectionalStatus | None,
) -> DirectionalReading:
    """Form ratios and errors from the averages of sᵀHs and |s|², whose mean η² is `squared_rates`.

    `trouble` is the problem of the latest step, if any.

    The error is that of the average of sᵀHs − curvature · |s|²: lengths are known exactly, and only
    deviations from a constant curvature are error. Fieller's interval would count the change of lengths as
    sampling error: while gradients shrink it is unbounded (`tests/curvature/test_directional.py`).
    """
    nan = math.nan
    count = averages.state.count
    bend, length = averages.first, averages.second
    if count == 0 or not squared_rates > 0.0 or not length > 0.0:
        status = trouble or DirectionalStatus.NO_DATA
        return DirectionalReading(nan, nan, nan, False, nan, UNKNOWN, nan, UNKNOWN, count, nonfinite, status)
    curvature = bend / length
    error, t = _error(averages, curvature, confidence)
    interval, t_value, significant, status = UNKNOWN, nan, False, DirectionalStatus.FEW
    if not math.isnan(error):
        interval = curvature - t * error, curvature + t * error
        t_value = curvature / error if error > 0.0 else math.copysign(math.inf, curvature)
        significant = abs(t_value) > t
        status = DirectionalStatus.OK if significant else DirectionalStatus.INSIGNIFICANT
    return DirectionalReading(
        bend / squared_rates,
        error * length / squared_rates,
        t_value,
        significant,
        curvature,
        interval,
        lr * curvature,
        (lr * interval[0], lr * interval[1]) if lr > 0.0 else (0.0, 0.0),
        count,
        nonfinite,
        trouble or status,
    )


def _error(averages: DecayedAverages, curvature: float, confidence: float) -> tuple[float, float]:
    """Return the standard error of the curvature, nan while unknown, and Student's t quantile."""
    v = averages.covariance()
    if v is None:
        return math.nan, math.inf
    variance = v.first - 2.0 * curvature * v.both + curvature * curvature * v.second
    error = math.sqrt(max(variance, 0.0)) / averages.second
    return error, student_t_quantile(confidence, v.degrees_of_freedom)
