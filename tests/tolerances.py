"""Tolerances that come from rounding or from sampling error, never from what happened to pass."""

from __future__ import annotations

import numpy as np


def rounding(array: np.ndarray, operations: int | None = None) -> float:
    """Relative tolerance for a float64 sum over the *variation* of `array`, input rounding included.

    The input is exact to half a unit in the last place of its largest entry, so a deviation from the
    mean carries that error; `operations` adds float64 roundings (default: the number of entries,
    the worst order of summation).
    """
    array = np.asarray(array)
    exact = np.float32 if array.dtype.itemsize <= 4 else np.float64  # in which differences of rows are taken
    spread = float(np.std(array.astype(np.float64)))
    largest = float(np.max(np.abs(array)))
    terms = array.size if operations is None else operations
    conditioning = largest / spread if spread > 0 else 1.0
    return float(4 * np.finfo(exact).eps * conditioning + 4 * np.finfo(np.float64).eps * terms)


def standard_errors(values: np.ndarray, number: float = 4.0) -> float:
    """`number` standard errors of the mean of independent `values`."""
    values = np.asarray(values, dtype=np.float64)
    return float(number * values.std(ddof=1) / np.sqrt(values.size))
