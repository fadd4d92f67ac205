"""Confidence intervals: Student's t quantile, Wilson's score interval, and Fieller's interval of a ratio."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist


@lru_cache(maxsize=256)
def student_t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Return the two-sided quantile t with P(|T| ≤ t) = `probability`.

    Hill's expansion (1970, algorithm 396), within 1 % from 2 degrees of freedom and 0.01 % from 5;
    SciPy's exact one is no dependency of ours for one number.

    Parameters
    ----------
    probability : float
        In (0, 1).
    degrees_of_freedom : float
        At least 1, need not be whole; `math.inf` gives the Gaussian quantile.

    Examples
    --------
    >>> round(student_t_quantile(0.95, 7.0), 3)
    2.365
    """
    tail = 1.0 - probability
    n = degrees_of_freedom
    if n == 1.0:
        return 1.0 / math.tan(tail * math.pi / 2.0)
    if n == 2.0:
        return math.sqrt(2.0 / (tail * (2.0 - tail)) - 2.0)
    a = 1.0 / (n - 0.5)
    b = 48.0 / (a * a)
    c = ((20700.0 * a / b - 98.0) * a - 16.0) * a + 96.36
    d = ((94.5 / (b + c) - 3.0) / b + 1.0) * math.sqrt(a * math.pi / 2.0) * n
    y = (d * tail) ** (2.0 / n) if n < 1e12 else 0.0
    if n >= 1e12:
        return -NormalDist().inv_cdf(0.5 * tail)
    if y > 0.05 + a:  # the middle of the distribution: expand about the Gaussian quantile
        x = NormalDist().inv_cdf(0.5 * tail)
        y = x * x
        if n < 5.0:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x
        y = math.expm1(a * y * y)
    else:  # the tail
        y = (
            (1.0 / (((n + 6.0) / (n * y) - 0.089 * d - 0.822) * (n + 2.0) * 3.0) + 0.5 / (n + 4.0)) * y - 1.0
        ) * (n + 1.0) / (n + 2.0) + 1.0 / y
    return math.sqrt(n * y)


def score_interval(value: float, variance: float, slope: float, t: float) -> tuple[float, float]:
    """Return the interval of a non-negative quantity whose estimate has variance + slope · truth.

    All q at which the estimate lies within `t` of the standard errors *that q would have* (Wilson 1927, as
    for a share): where the variance grows with the quantity, ends at value ± t standard errors would be too
    low on both sides. Ends below zero are given as zero.

    Examples
    --------
    >>> score_interval(3.0, 1.0, 0.0, 2.0)
    (1.0, 5.0)
    >>> score_interval(3.0, 0.0, 1.0, 2.0)
    (1.0, 9.0)
    """
    middle = value + 0.5 * t * t * slope
    reach = t * math.sqrt(max(variance + slope * value + 0.25 * t * t * slope * slope, 0.0))
    return max(middle - reach, 0.0), max(middle + reach, 0.0)


def fieller_interval(
    numerator: float,
    denominator: float,
    numerator_variance: float,
    denominator_variance: float,
    covariance: float,
    t: float,
) -> tuple[float, float]:
    """Return the interval of numerator/denominator, both of them non-negative quantities.

    Fieller (1954): all r at which numerator − r · denominator lies within `t` of its standard errors of
    zero. Where the denominator's own interval covers zero no upper end exists: it is infinite, and the
    lower end is all that the data say. Ends below zero are given as zero.

    Examples
    --------
    >>> fieller_interval(10.0, 2.0, 0.0, 0.0, 0.0, 2.0)
    (5.0, 5.0)
    >>> fieller_interval(10.0, 1.0, 0.0, 1.0, 0.0, 2.0)[1]
    inf
    """
    a = denominator * denominator - t * t * denominator_variance
    b = numerator * denominator - t * t * covariance
    c = numerator * numerator - t * t * numerator_variance
    root = math.sqrt(max(b * b - a * c, 0.0))
    if a > 0.0 and denominator > 0.0:
        return max((b - root) / a, 0.0), max((b + root) / a, 0.0)
    if c <= 0.0 or numerator <= 0.0:  # the numerator may be zero as well: nothing is excluded
        return 0.0, math.inf
    return (max((b - root) / a, 0.0) if a < 0.0 else max(c / (2.0 * b), 0.0) if b > 0.0 else 0.0), math.inf
