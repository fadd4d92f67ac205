"""How much of the gradient was noise, and what that says of the batch size."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nalr.noise.efficiency import share
from nalr.reporting.record import BatchAdvice, NoisePart
from nalr.reporting.run import Run

Array = NDArray[np.float64]


def noise_course(run: Run) -> tuple[NoisePart, NoisePart, NoisePart]:
    """Return the medians of the first third, of the last third, and of the whole run."""
    third = -(-len(run) // 3)
    return _part(run, slice(third)), _part(run, slice(len(run) - third, None)), _part(run, slice(None))


def _part(run: Run, rows: slice) -> NoisePart:
    def median(column: str) -> float:
        return _quantile(run.columns[column][rows], 0.5)

    scales = noise_scales(run)[rows]
    known = scales[~np.isnan(scales)]
    return NoisePart(
        median("noise_scale"),
        median("noise_scale_low"),
        median("noise_scale_high"),
        _quantile(scales, 0.5),
        median("signal_fraction"),
        median("batch_size"),
        float(np.isinf(known).mean()) if known.size else math.nan,
    )


def noise_scales(run: Run) -> Array:
    """Return B_simple of each recorded step; inf where there was noise and no signal above it.

    The record has nan there, since the ratio is then of the wrong sign. Left out, only the steps whose
    signal came out high by chance would be counted; as inf they count on the right side of a median.
    """
    columns = run.columns
    beyond = (columns["signal_fraction"] == 0.0) & (columns["noise_scale"] > 0.0)
    return np.where(beyond, math.inf, columns["gradient_noise_scale"])


def batch_advice(run: Run) -> BatchAdvice | None:
    """Return what the run's batch size costs in steps and samples, if its noise scale is known."""
    scales, size = noise_scales(run), _quantile(run.columns["batch_size"], 0.5)
    balanced = _quantile(scales, 0.5)
    at_least = math.isinf(balanced)
    if at_least:
        balanced = _quantile(scales, 0.25)
    if not (0.0 < balanced < math.inf and 0.0 < size < math.inf):
        return None
    return BatchAdvice(size, balanced, at_least, 1.0 / share(size, balanced), 1.0 / share(balanced, size))


def _quantile(values: Array, level: float) -> float:
    """Return a quantile of what is not nan: one of the values, so that inf is no trouble."""
    known = np.sort(values[~np.isnan(values)])
    return float(known[int(level * (known.size - 1))]) if known.size else math.nan
