"""The settled line of `nalr.loss.trend` over a block of losses: the same formula, to the bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import jit

Array = NDArray[np.float64]


@jit
def glide(line: Array, losses: Array, decay: float, outside: float, slope_gain: float) -> None:
    """Fold `losses` (T,) into `line` (5,): level, slope, square, cross, previous prediction error."""
    level, slope, square, cross, previous = line[0], line[1], line[2], line[3], line[4]
    for loss in losses:
        error = loss - (level + slope)
        weighted = outside * error
        level = loss - weighted
        slope += slope_gain * error
        square = decay * square + weighted * error
        cross = decay * cross + weighted * previous
        previous = error
    line[0], line[1], line[2], line[3], line[4] = level, slope, square, cross, previous
