"""tr Σ² of the rows' covariance: what the products of independent rows with one another say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nalr.arrays import passes as batch
from nalr.arrays.gradients import Gradients, Part, as_floats

MOST_ROWS = 16
"""Rows that are paired: 120 pairs, whose mean is some 13 % off where many directions share the noise."""

WIDTH = 8192
"""Columns at a time: 16 rows of them in float64 stay in the cache."""


def squared_covariance_trace(rows: Gradients) -> float:
    """Return an estimate of tr Σ² from at least 4 rows, the first 16 of them; may be negative by chance.

    E⟨e, e′⟩² = tr Σ² for independent noises e, e′. Every product of two rows that holds the mean too is
    freed of it by products of three and four different rows (Chen, Zhang & Zhong 2010), so it is unbiased
    whatever the distribution; written in the centred Gram matrix those sums need no loop over triples.
    Cost: one pass over the rows and 32 flops a value.
    """
    m = min(len(rows), MOST_ROWS)
    gram = _centred_gram(rows, m)
    diagonal = gram.diagonal()
    pairs = float((gram * gram).sum() - (diagonal * diagonal).sum())
    triples = float((diagonal * diagonal).sum()) - pairs
    quadruples = float(diagonal.sum()) ** 2 - 4.0 * triples - 2.0 * pairs
    count = m * (m - 1)
    return pairs / count - 2.0 * triples / (count * (m - 2)) + quadruples / (count * (m - 2) * (m - 3))


def _centred_gram(rows: Gradients, m: int) -> NDArray[np.float64]:
    """Return the products (m, m) of the first m rows about their mean."""

    def one(part: Part, start: int, stop: int, offset: int) -> NDArray[np.float64]:
        gram = np.zeros((m, m))
        for low in range(start, stop, WIDTH):
            array, a, b = part.window(low, min(low + WIDTH, stop))
            window = as_floats(array[:m, a:b]).astype(np.float64)
            window -= window.mean(axis=0)
            gram += window @ window.T
        return gram

    return sum(batch.over_columns(one, rows), np.zeros((m, m)))
