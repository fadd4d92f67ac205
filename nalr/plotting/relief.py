"""The heights of a plot: the loss on a plane, on a linear or a logarithmic scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nalr.plotting.plane import Plane

Array = NDArray[np.float64]
DECADES = 6  # lower values are drawn at this depth below the highest loss


@dataclass(frozen=True)
class Relief:
    """Heights over the coordinates of `plane`, less `base` and no lower than `floor` where `log`."""

    loss: Callable[[Array], Any]
    plane: Plane
    label: str
    log: bool = False
    base: float = 0.0
    floor: float = -np.inf

    def __call__(self, coordinates: Array) -> Array:
        """Return the heights (...) at `coordinates` (..., 1 or 2), nan where the loss is not finite."""
        values = np.asarray(self.loss(self.plane.lift(coordinates)), dtype=np.float64)
        finite = np.isfinite(values)
        return np.where(finite, np.maximum(np.where(finite, values, 0.0) - self.base, self.floor), np.nan)

    def on_grid(self, axes: Array) -> Array:
        """Return the heights on the grid of `axes` (1 or 2, n): (n,), or (n, n) with the second axis in rows.

        One row at a time, since all points of many dimensions may not fit in memory.
        """
        if len(axes) == 1:
            return self(axes[0][:, None])
        return np.stack([self(np.column_stack([axes[0], np.full_like(axes[0], y)])) for y in axes[1]])


def choose_relief(
    relief: Relief, values: Array, optimum: Array | None, log: bool | Literal["auto"]
) -> Relief:
    """Return `relief`, on a logarithmic scale if `log` is True or, at "auto", if `values` (n, n) call for it.

    Logarithms are of the loss above the lowest one, of `values` or at `optimum`.
    """
    if log not in (True, False, "auto"):
        raise ValueError(f'`log` must be True, False or "auto", got {log!r}.')
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("`bounds` must hold points where the loss is finite.")
    lowest = float(finite.min())
    if optimum is not None:
        lowest = min(lowest, float(relief.loss(optimum)))
    above = finite - lowest
    highest = float(above.max())
    narrow = values.ndim == 2 and float(np.median(above)) < 0.1 * highest
    if highest == 0.0 or not (narrow if log == "auto" else log):
        return relief
    floor = highest * 10.0**-DECADES
    label = relief.label
    if abs(lowest) > floor:
        label = f"{label} {'−' if lowest > 0.0 else '+'} {abs(lowest):.3g}"
    return Relief(relief.loss, relief.plane, label, log=True, base=lowest, floor=floor)
