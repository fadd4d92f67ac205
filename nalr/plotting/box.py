"""The range of a line or plane that a plot shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.plotting.plane import real_array

Array = NDArray[np.float64]
MARGIN = 0.12
FAR = 1e3  # farther off than this many widths, a line needs no exact end, and pixel numbers could overflow


def given_box(bounds: Sequence[Any], size: int) -> Array:
    """Return `bounds`, checked, as one (low, high) row for each of `size` axes."""
    array = real_array("bounds", bounds)
    if array.shape not in ((2,), (size, 2)):
        pairs = "(low, high)" if size == 1 else "(low, high) or ((low, high), (low, high))"
        raise ValueError(f"`bounds` must be {pairs}, got {bounds!r}.")
    if not np.isfinite(array).all() or not (array[..., 0] < array[..., 1]).all():
        raise ValueError(f"`bounds` must be finite, each low below its high, got {bounds!r}.")
    return np.array(np.broadcast_to(array, (size, 2)))


def covering_box(points: Array) -> Array:
    """Return (low, high) rows that cover `points` (N, 1 or 2) with a margin; about 0 for none."""
    if not len(points):
        points = np.zeros((1, points.shape[1]))
    low, high = points.min(axis=0), points.max(axis=0)
    width = high - low
    # No axis is thinner than a fifth of the other, so that a straight path still lies on a surface.
    least = 0.2 * width.max() if width.max() > 0.0 else 2.0
    half = 0.5 * np.maximum(width, least) * (1.0 + 2.0 * MARGIN)
    middle = 0.5 * (low + high)
    return np.column_stack([middle - half, middle + half])


def within_reach(points: Array, box: Array) -> Array:
    """Return `points` (N, 1 or 2) with nan in place of those far outside `box`."""
    width = box[:, 1] - box[:, 0]
    off = (np.abs(points - box.mean(axis=1)) > FAR * width).any(axis=1)
    return np.where(off[:, None], np.nan, points)
