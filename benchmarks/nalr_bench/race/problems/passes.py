"""Shuffled passes through a data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Passes:
    """Minibatches of a shuffled data set; each sample once before any comes again, the rest is skipped."""

    def __init__(self, num_samples: int, batch_size: int, seed: int) -> None:
        self._num_samples = num_samples
        self._batch_size = batch_size
        self._rng = np.random.default_rng([seed, 0])
        self._order: Indices = np.empty(0, dtype=np.int64)
        self._next = 0

    def draw(self) -> Indices:
        """Return the numbers of the next minibatch's samples."""
        begin, self._next = self._next, self._next + self._batch_size
        if self._next > self._order.size:
            self._order = self._rng.permutation(self._num_samples)
            begin, self._next = 0, self._batch_size
        return self._order[begin : self._next]
