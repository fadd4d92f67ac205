"""Streams of gradients, and equality of states, for the tests of the noise estimator."""

from __future__ import annotations

import numpy as np

from nalr import NoiseEstimator


def settled(rng, steps=200, rows=16, dimension=30, mean=0.2, **settings):
    estimator = NoiseEstimator(**settings)
    for _ in range(steps):
        estimator.update(mean + rng.normal(size=(rows, dimension)))
    return estimator


def same(a, b):
    """Whether two nested states are equal to the bit; nan equals nan."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=True)
    return a == b or (a != a and b != b)
