"""Random probes of a matrix known by its products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nalr import _checks
from nalr.arrays import threads

Floats = NDArray[np.floating[Any]]  # float32 or float64

CHUNK = 1 << 18
"""Columns per task of a thread, some 50 µs of work. Fixed, so that sums do not depend on threads."""


def rademacher(
    dim: int, *, seed: int, index: int = 0, dtype: DTypeLike = np.float32, out: Floats | None = None
) -> Floats:
    """Return a probe of independent random signs, each 1 or -1.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    seed : int
        Of the series of probes, in [0, 2⁶⁴): probes of different seeds are independent.
    index : int
        Which probe of the series, in [0, 2⁶⁴).
    dtype : dtype
        float32 or float64, of a new array; both hold the same signs.
    out : ndarray, shape (dim,), optional
        Contiguous array of float32 or float64 to write to instead.

    Returns
    -------
    ndarray, shape (dim,)
        The probe, or `out`. It is a function of `seed`, `index` and position: the same on any number of
        threads, and a longer probe begins with a shorter one.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Among distributions with mean 0 and variance 1, signs give Hutchinson's estimate of a trace the least
    variance that independent coordinates can: 2 Σ_{i≠j} Hᵢⱼ², against 2 Σ Hᵢⱼ² for normals.

    Cost: that of writing `dim` numbers to memory.

    Examples
    --------
    >>> rademacher(6, seed=0)
    array([-1., -1.,  1., -1.,  1., -1.], dtype=float32)
    >>> rademacher(5, seed=0)
    array([-1., -1.,  1., -1.,  1.], dtype=float32)
    """
    from nalr.kernels import probes as kernels  # here, since importing numba takes a quarter second

    return _write(kernels.rademacher, dim, seed, index, dtype, out)


def normal(
    dim: int, *, seed: int, index: int = 0, dtype: DTypeLike = np.float32, out: Floats | None = None
) -> Floats:
    """Return a probe of independent standard normal numbers.

    Parameters, result and errors are those of `rademacher`. Computed in float64 and rounded to float32.

    Notes
    -----
    For random directions of the loss: normals are isotropic, signs are not. Box & Muller (1958); the largest
    possible value is 8.5.

    Cost: about 2.4 ns a number and thread.

    Examples
    --------
    >>> normal(3, seed=0, dtype=np.float64).round(3)
    array([ 1.691, -0.387, -1.407])
    """
    from nalr.kernels import probes as kernels

    return _write(kernels.normal, dim, seed, index, dtype, out)


def _write(
    kernel: Callable[..., None], dim: int, seed: int, index: int, dtype: DTypeLike, out: Floats | None
) -> Floats:
    """Write a probe with `kernel`, in chunks on several threads."""
    dim = _checks.count("dim", dim, 1)
    seed_word, index_word = np.uint64(_checks.word("seed", seed)), np.uint64(_checks.word("index", index))
    probe = _new(dim, dtype) if out is None else _checked_out(out, dim)
    chunks(dim, lambda part: kernel(probe[part], seed_word, index_word, part.start))
    return probe


def chunks(dim: int, task: Callable[[slice], Any]) -> list[Any]:
    """Return the results of `task` for each chunk of `dim` columns, in order."""
    if dim <= CHUNK:
        return [task(slice(0, dim))]
    return threads.run(
        lambda i: task(slice(i * CHUNK, min((i + 1) * CHUNK, dim))),
        -(-dim // CHUNK),
    )


def _new(dim: int, dtype: DTypeLike) -> Floats:
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"`dtype` must be float32 or float64, got {kind}.")
    probe: Floats = np.empty(dim, dtype=kind)
    return probe


def _checked_out(out: Any, dim: int) -> Floats:
    probe = vector("out", out)
    if id(probe) != id(out) or not probe.flags.writeable or probe.shape != (dim,):
        raise ValueError(f"`out` must be a contiguous, writable array of shape ({dim},), got {out.shape}.")
    return probe


def vector(name: str, value: Any) -> Floats:
    """Return `value` as a contiguous (D,) array, copied if it is strided."""
    array = _checks.array(name, value)
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise TypeError(f"`{name}` must hold float32 or float64, got dtype {array.dtype}.")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"`{name}` must have shape (D,) with D at least 1, got shape {array.shape}.")
    vector: Floats = np.ascontiguousarray(array)
    return vector
