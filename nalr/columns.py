"""Mean and variance of each coordinate over a stream of rows: Welford (1962), and Chan's merge of parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class PooledColumns:
    """Two D-vectors, whatever the number of rows; rows of different steps are pooled.

    Drift of the mean between steps counts as variance.
    """

    __slots__ = ("count", "m2", "mean")

    def __init__(self) -> None:
        self.count = 0
        self.mean: Vector = np.empty(0)  # (D,) once D is known
        self.m2: Vector = np.empty(0)  # (D,) Σ(g − ḡ)²

    def update(self, rows: NDArray[Any]) -> None:
        """Fold checked rows (B, D) in; rows that are not all finite take no part."""
        from nalr.kernels import moments as kernels

        if not np.isfinite(rows).all():
            return
        if not self.mean.size:
            self.mean, self.m2 = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        if len(rows) == 1:
            kernels.welford_row(self.mean, self.m2, self.count, rows[0])
        else:
            mean, m2 = np.empty(rows.shape[1]), np.empty(rows.shape[1])
            kernels.column_moments(mean, m2, rows)
            kernels.merge_columns(self.mean, self.m2, self.count, mean, m2, len(rows))
        self.count += len(rows)

    def merge(self, other: PooledColumns) -> None:
        """Fold in the rows that another object took."""
        from nalr.kernels import moments as kernels

        if not other.count:
            return
        if not self.count:
            self.mean, self.m2 = other.mean.copy(), other.m2.copy()
        else:
            kernels.merge_columns(self.mean, self.m2, self.count, other.mean, other.m2, other.count)
        self.count += other.count

    @property
    def variance(self) -> Vector:
        """Unbiased variance (D,); zeros for one row."""
        return self.m2 / max(self.count - 1, 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        return {"count": self.count, "mean": self.mean.copy(), "m2": self.m2.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self.count = int(state["count"])
        self.mean, self.m2 = np.array(state["mean"]), np.array(state["m2"])
