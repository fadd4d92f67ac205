"""A growing orthonormal basis, kept within a stated amount of memory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nalr.curvature.products import Floats

Vector = NDArray[np.float64]

MEMORY_LIMIT = 2**32
"""Default limit of a basis, in bytes: 4 GiB."""

NEGLIGIBLE = 1e-13
"""A remainder of less than this share of a vector is rounding: the vector lies in the basis."""

HALF = 0.5
"""A pass that leaves less than this share of the length is repeated, since rounding may have lost
orthogonality. Two passes are enough (Kahan, in Parlett 1998, section 6.9), unless nothing is left."""

CHUNK = 1 << 16
"""Columns that are rotated at a time."""


class Basis:
    """Up to `capacity` orthonormal vectors of length `dim`, in float64: 8 · capacity · dim bytes.

    Raises
    ------
    ValueError
        If that is more than `memory_limit` bytes.
    """

    __slots__ = ("_rows", "size")

    def __init__(self, capacity: int, dim: int, memory_limit: float, setting: str) -> None:
        needed = 8 * capacity * dim
        if needed > memory_limit:
            raise ValueError(
                f"`{setting}` must let the basis fit in `memory_limit`={memory_limit:.4g} bytes, got "
                f"{capacity} vectors of {dim} float64, {needed:.4g} bytes."
            )
        self._rows = np.empty((capacity, dim))
        self.size = 0

    def __len__(self) -> int:
        """Return the capacity."""
        return len(self._rows)

    @property
    def rows(self) -> Vector:
        """The vectors, (size, D); a view."""
        return self._rows[: self.size]

    def remainder(self, vector: Floats) -> tuple[Vector, Vector, float]:
        """Return `vector` less its projection on the basis, the coefficients, and the remaining length.

        The length is 0 where nothing but rounding remains, and nan where `vector` is not finite.
        """
        rest = np.array(vector, dtype=np.float64)
        whole = length = float(np.linalg.norm(rest))
        coefficients = np.zeros(self.size)
        if not math.isfinite(whole):
            return rest, coefficients, math.nan
        for _ in range(3 if self.size else 0):
            taken = self.rows @ rest
            rest -= taken @ self.rows
            coefficients += taken
            before, length = length, float(np.linalg.norm(rest))
            if not length < HALF * before:
                break
        return rest, coefficients, length if length > NEGLIGIBLE * whole else 0.0

    def add(self, vector: Vector, length: float) -> Vector:
        """Append `vector`/`length`, orthogonal to the others; return the stored row."""
        row: Vector = self._rows[self.size]
        np.divide(vector, length, out=row)
        self.size += 1
        return row

    def rotate(self, rotation: Vector) -> None:
        """Replace the vectors by combinations of them, the orthonormal columns of `rotation` (size, new)."""
        new = rotation.shape[1]
        for start in range(0, self._rows.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            self._rows[:new, part] = rotation.T @ self.rows[:, part]
        self.size = new
