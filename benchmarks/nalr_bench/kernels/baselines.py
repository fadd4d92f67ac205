"""Baselines written here: passes that only move memory, and hand-written NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.arrays import threads
from nalr.arrays.passes import CHUNK
from nalr.kernels._jit import reassociating
from nalr.kernels.bandwidth import read_sum

Array = NDArray[Any]
Vector = NDArray[np.float64]


def plain_sum(flat: Array) -> float:
    """Return the sum of float32 or float64 values (D,): as fast as these bytes can be read."""
    pieces = _pieces(flat.size)
    return sum(threads.run(lambda i: read_sum(flat[pieces[i]]), len(pieces)))


def load_and_store(mean: Vector, m2: Vector, row: Array) -> None:
    """Do the loads and stores of `columns.welford`, on as many threads."""
    pieces = _pieces(row.size)
    threads.run(lambda i: _load_and_store(mean[pieces[i]], m2[pieces[i]], row[pieces[i]], 1e-6), len(pieces))


@reassociating
def _load_and_store(mean: Vector, m2: Vector, row: Array, scale: float) -> None:
    for j in range(row.size):
        value = np.float64(row[j])
        mean[j] += scale * value
        m2[j] += scale * value


def numpy_welford(mean: Vector, m2: Vector, count: int, row: Array) -> None:
    """Fold a row in with plain NumPy."""
    delta = row - mean
    mean += delta / (count + 1)
    m2 += delta * (row - mean)


def _pieces(size: int) -> list[slice]:
    """Return a few pieces per thread, none smaller than is worth a thread."""
    count = max(1, min(-(-size // CHUNK), 4 * threads.get_num_threads()))
    ends = [size * k // count for k in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(ends, ends[1:], strict=False)]


class PlainAverage:
    """A hand-written exponential average."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.value: float | None = None

    def update(self, loss: float) -> float:
        """Return the average after `loss`."""
        self.value = loss if self.value is None else self.alpha * self.value + (1.0 - self.alpha) * loss
        return self.value
