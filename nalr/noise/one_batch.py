"""Noise of one batch alone: no state but whether the warning about a batch of one row was given."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr._checks import NoiseWarning
from nalr.arrays import passes
from nalr.arrays.gradients import as_rows
from nalr.noise.columns import column_variance


class OneBatch:
    """The two measurements of `NoiseEstimator` that change nothing."""

    __slots__ = ("warned",)

    def __init__(self) -> None:
        self.warned = False

    def estimate_noise(self, gradients: ArrayLike) -> float:
        """Return √(mean over coordinates of the unbiased variance over rows)."""
        rows = as_rows("gradients", gradients)
        if rows.num_rows == 1:
            self._warn_once(
                "A batch of one row says nothing about gradient noise, so it is given as 0.0. Pass at "
                "least 2 rows (4 or more for a useful estimate), or use `update`, which compares "
                "successive steps."
            )
            return 0.0
        spread = passes.measure(rows)[0]
        return math.sqrt(spread / ((rows.num_rows - 1) * rows.dimension))

    def compute_variance(self, gradients: ArrayLike) -> NDArray[np.float64]:
        """Return the unbiased variance over rows of each coordinate, (D,)."""
        rows = as_rows("gradients", gradients)
        if rows.num_rows == 1:
            self._warn_once(
                "The variance of one row is not defined and is given as 0.0. Pass at least 2 rows."
            )
            return np.zeros(rows.dimension)
        return column_variance(rows)

    def _warn_once(self, message: str) -> None:
        if not self.warned:
            self.warned = True
            warnings.warn(message, NoiseWarning, stacklevel=4)  # where the public function is called


def compute_gradient_variance(gradients: ArrayLike) -> NDArray[np.float64]:
    """Return the unbiased variance over rows of each coordinate: `NoiseEstimator().compute_variance`.

    Parameters
    ----------
    gradients : array of shape (B, D)
        One row per sample, all at the same parameters.

    Returns
    -------
    array of shape (D,), float64

    Examples
    --------
    >>> compute_gradient_variance([[1.0, 2.0], [3.0, 2.0]])
    array([2., 0.])
    """
    return OneBatch().compute_variance(gradients)
