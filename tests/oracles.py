"""Slow and obviously right versions of what the package computes fast."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def exact_moments(rows: np.ndarray, weights: list[float] | None = None) -> tuple[float, float]:
    """Return (Σ wᵢ|gᵢ − ḡ|², |ḡ|²) in rational arithmetic: no rounding but the last."""
    table = [[Fraction(float(v)) for v in row] for row in rows]
    shares = [Fraction(float(w)) for w in (weights or [1.0] * len(table))]
    total = sum(shares)
    means = [
        sum(w * row[j] for w, row in zip(shares, table, strict=True)) / total for j in range(rows.shape[1])
    ]
    spread = sum(
        w * sum((value - mean) ** 2 for value, mean in zip(row, means, strict=True))
        for w, row in zip(shares, table, strict=True)
    )
    return float(spread), float(sum(mean * mean for mean in means))


def naive_sum_squares(rows: np.ndarray) -> float:
    """Return the naive B (mean(g²) − mean(g)²), in the rows' own precision."""
    return float(len(rows) * ((rows * rows).mean(axis=0) - rows.mean(axis=0) ** 2).sum())


def path_sums(
    gradients: list[np.ndarray], rates: list[float], forgetting: float, decay: float
) -> tuple[float, float, float, float]:
    """Return ⟨g, step⟩, |step|², h and |d|² at the last gradient of plain SGD, from the whole path."""
    steps = [lr * g for lr, g in zip(rates, gradients[:-1], strict=True)]
    displacement = np.zeros_like(gradients[0])
    mean = np.zeros_like(displacement)
    for step in steps:
        displacement = (1.0 - forgetting) * displacement + step
        mean = decay * (1.0 - forgetting) * mean + (1.0 - decay) * displacement
    fresh, last = gradients[-1], steps[-1]
    return (
        float(fresh @ last),
        float(last @ last),
        float(fresh @ (displacement + mean) / 2.0),
        float(displacement @ displacement),
    )
