"""What kernels are compared with: loops that only move memory. Nothing but `nalr bench` runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import reassociating

Array = NDArray[Any]


@reassociating
def load_and_store(mean: Array, m2: Array, row: Array, scale: float) -> None:
    """Add `scale` · `row` to `mean` and `m2`, (D,): the loads and stores of `welford_row`, and no more."""
    for j in range(row.size):
        value = np.float64(row[j])
        mean[j] += scale * value
        m2[j] += scale * value
