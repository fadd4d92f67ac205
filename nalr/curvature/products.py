"""Matrix-vector products of any kind as one function that checks and counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks

Floats = NDArray[np.floating[Any]]  # float32 or float64
Vector = NDArray[np.float64]
Apply = Callable[[Floats], Any]

KINDS = "a function v -> Hv, or a matrix with `@` or `matvec`"


class Product:
    """v ↦ Hv of a square matrix, checked at each call and counted.

    Attributes
    ----------
    dim : int
        D.
    dtype : dtype
        Of the vectors: float32 for a float32 matrix, which `@` would otherwise copy to float64 for every
        product; else float64.
    count : int
        Products made.
    """

    __slots__ = ("_apply", "count", "dim", "dtype")

    def __init__(self, hvp: Any, dim: int | None) -> None:
        self._apply, known = _resolved(hvp)
        self.dim = _dimension(dim, known)
        single = getattr(hvp, "dtype", None) == np.float32
        self.dtype: np.dtype[np.floating[Any]] = np.dtype(np.float32 if single else np.float64)
        self.count = 0

    def probe(self, draw: Callable[..., Floats], seed: int, index: int) -> Floats:
        """Return probe `index` of the series `seed`, drawn by `rademacher` or `normal`."""
        return draw(self.dim, seed=seed, index=index, dtype=self.dtype)

    def __call__(self, vector: Floats) -> Floats:
        """Return H·`vector`, (D,) of float32 or float64; it may share memory with `vector`."""
        self.count += 1
        result = _checks.array("hvp", self._apply(vector))
        if result.dtype not in (np.float32, np.float64):
            raise TypeError(f"`hvp` must return float32 or float64, got dtype {result.dtype}.")
        if result.shape != (self.dim,):
            raise ValueError(f"`hvp` must return shape ({self.dim},), got {result.shape}.")
        return result


def _dimension(dim: int | None, known: int | None) -> int:
    """Return D, as given or known from the matrix."""
    if dim is None:
        if known is None:
            raise ValueError("`dim` must be given, since a function has no known dimension.")
        return known
    checked = _checks.count("dim", dim, 1)
    if known not in (None, checked):
        raise ValueError(f"`dim` must be that of the matrix, {known}, got {dim!r}.")
    return checked


def _resolved(hvp: Any) -> tuple[Apply, int | None]:
    """Return the function of `hvp`, and its dimension where it is known."""
    shape = getattr(hvp, "shape", None)
    if shape is not None and (hasattr(hvp, "__matmul__") or hasattr(hvp, "matvec")):
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
            raise ValueError(f"`hvp` must be a square matrix, got shape {tuple(shape)}.")
        if isinstance(hvp, np.ndarray) and hvp.dtype not in (np.float32, np.float64):
            raise TypeError(f"`hvp` must hold float32 or float64, got dtype {hvp.dtype}.")
        # `@` first: SciPy's operators have both, and can also be called, for another purpose.
        return (hvp.__matmul__ if hasattr(hvp, "__matmul__") else hvp.matvec), int(shape[0])
    if hasattr(hvp, "matvec"):
        return hvp.matvec, None
    if callable(hvp):
        return hvp, None
    raise TypeError(f"`hvp` must be {KINDS}, got {type(hvp).__name__}.")
