"""The loop that measures memory bandwidth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import reassociating


@reassociating
def read_sum(values: NDArray[Any]) -> float:
    """Return the sum of `values` (D,), float32: one addition a value, so that memory is the limit."""
    total = np.float32(0.0)
    for j in range(values.size):
        total += values[j]
    return float(total)
