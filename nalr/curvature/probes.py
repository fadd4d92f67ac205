"""Random probes of a matrix that can only be multiplied with, and the running averages they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nalr import _checks
from nalr.arrays import threads

Floats = NDArray[np.floating[Any]]  # float32 or float64
Vector = NDArray[np.float64]

CHUNK = 1 << 18
"""Columns that a thread takes at a time: some 50 µs of work. Fixed, so that sums do not depend on threads."""


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
    Of a probe along which the direction matters, as in a random direction of the loss: normals favour none,
    signs only the diagonals of a cube. Box & Muller (1958); the largest possible value is 8.5.

    Cost: about 2.4 ns a number and thread.

    Examples
    --------
    >>> normal(3, seed=0, dtype=np.float64).round(3)
    array([ 1.691, -0.387, -1.407])
    """
    from nalr.kernels import probes as kernels

    return _write(kernels.normal, dim, seed, index, dtype, out)


class ProbeAverage:
    """Running mean and variance of vᵀHv, and if asked of v ⊙ Hv, over random probes v.

    Parameters
    ----------
    diagonal : bool
        Whether to average v ⊙ Hv too, in two float64 vectors.

    Attributes
    ----------
    count : int
        Probes averaged.
    nonfinite : int
        Probes skipped because vᵀHv was not finite.

    Notes
    -----
    With E[vvᵀ] = I, as for `rademacher` and `normal`, E[vᵀHv] = tr(H E[vvᵀ]) = tr H and
    E[v ⊙ Hv]ᵢ = Σⱼ Hᵢⱼ E[vᵢvⱼ] = Hᵢᵢ, so both means are unbiased. Signs give the trace and diagonal of a
    diagonal H exactly, since vᵢ² = 1; normals add 2 Hᵢᵢ² to a coordinate's variance. The quotient
    Σ v ⊙ Hv / Σ v ⊙ v (Bekas, Kokiopoulou & Saad 2007) would take most of that away, but it is biased for a
    few probes and has no running variance this simple: use signs.

    Cost of `update`: one pass over the two vectors; with `diagonal` a second over those and the two of the
    state. The first is what finds values that are not finite before they would spoil the average.

    References
    ----------
    Hutchinson (1990), Commun. Stat. Simul. Comput. 19, 433; Welford (1962), Technometrics 4, 419; Chan, Golub
    & LeVeque (1979), Stanford STAN-CS-79-773; Bekas, Kokiopoulou & Saad (2007), Appl. Numer. Math. 57, 1214.

    Examples
    --------
    >>> hessian = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> average = ProbeAverage(diagonal=True)
    >>> for index in range(400):
    ...     probe = rademacher(2, seed=1, index=index, dtype=np.float64)
    ...     _ = average.update(probe, hessian @ probe)
    >>> abs(average.trace - 5.0) < 4 * average.trace_standard_error < 0.5
    True
    >>> bool(np.all(abs(average.diagonal - [2.0, 3.0]) < 4 * average.diagonal_standard_error))
    True
    """

    __slots__ = ("_diagonal", "_diagonal_m2", "_trace", "_trace_m2", "count", "nonfinite", "tracks_diagonal")

    def __init__(self, *, diagonal: bool = False) -> None:
        self.tracks_diagonal = bool(diagonal)
        self.reset()

    def __repr__(self) -> str:
        return f"ProbeAverage(diagonal={self.tracks_diagonal})"

    def reset(self) -> None:
        """Forget every probe."""
        self.count = 0
        self.nonfinite = 0
        self._trace = 0.0
        self._trace_m2 = 0.0  # Σ (vᵀHv − mean)²
        self._diagonal: Vector = np.empty(0)  # (D,) once D is known
        self._diagonal_m2: Vector = np.empty(0)  # (D,)

    def update(self, probe: Floats, product: Floats) -> float:
        """Take in `probe` v and its `product` Hv, both (D,), and return vᵀHv.

        Raises
        ------
        TypeError
            If they are not float32 or float64.
        ValueError
            If their shapes differ from each other, or from earlier ones where the diagonal is kept.
        """
        from nalr.kernels import moments
        from nalr.kernels import probes as kernels

        probe, product = _vector("probe", probe), _vector("product", product)
        known = self._diagonal.size or probe.size
        if not probe.size == product.size == known:
            raise ValueError(
                f"`probe` and `product` must have the same shape{' as before' if self.count else ''}, "
                f"({known},), got {probe.shape} and {product.shape}."
            )
        value = float(sum(_chunks(probe.size, lambda part: moments.dot(probe[part], product[part]))))
        if not math.isfinite(value):
            self.nonfinite += 1
            return value
        if self.tracks_diagonal:
            if not self._diagonal.size:
                self._diagonal, self._diagonal_m2 = np.zeros(probe.size), np.zeros(probe.size)
            mean, m2, count = self._diagonal, self._diagonal_m2, self.count
            _chunks(
                probe.size,
                lambda part: kernels.hutchinson_step(mean[part], m2[part], count, probe[part], product[part]),
            )
        self.count += 1
        deviation = value - self._trace
        self._trace += deviation / self.count
        self._trace_m2 += deviation * (value - self._trace)
        return value

    def merge(self, other: ProbeAverage) -> ProbeAverage:
        """Fold in the probes that another average took of the same matrix; return this one.

        Raises
        ------
        ValueError
            If only one of them keeps the diagonal, or theirs have different lengths.
        """
        from nalr.kernels import moments

        if self.tracks_diagonal != other.tracks_diagonal:
            raise ValueError(f"`other` must be like {self!r}, got {other!r}.")
        sizes = self._diagonal.size, other._diagonal.size
        if all(sizes) and sizes[0] != sizes[1]:
            raise ValueError(f"`other` must have a diagonal of length {sizes[0]}, got {sizes[1]}.")
        self.nonfinite += other.nonfinite
        if not other.count:
            return self
        if self.tracks_diagonal:
            if not self.count:
                self._diagonal, self._diagonal_m2 = np.zeros(sizes[1]), np.zeros(sizes[1])
            mean, m2, count = self._diagonal, self._diagonal_m2, self.count
            _chunks(
                mean.size,
                lambda part: moments.merge_columns(
                    mean[part], m2[part], count, other._diagonal[part], other._diagonal_m2[part], other.count
                ),
            )
        total = self.count + other.count
        deviation = other._trace - self._trace
        self._trace += deviation * other.count / total
        self._trace_m2 += other._trace_m2 + deviation * deviation * self.count * other.count / total
        self.count = total
        return self

    @property
    def trace(self) -> float:
        """Estimate of tr H; nan before a probe."""
        return self._trace if self.count else math.nan

    @property
    def trace_standard_error(self) -> float:
        """Standard error of `trace`; nan before two probes."""
        return math.sqrt(self._trace_m2 / (self.count - 1) / self.count) if self.count > 1 else math.nan

    @property
    def diagonal(self) -> Vector:
        """Estimate (D,) of the diagonal of H, a copy; empty before a probe, or if it is not kept."""
        return self._diagonal.copy()

    @property
    def diagonal_standard_error(self) -> Vector:
        """Standard error (D,) of `diagonal`; nan before two probes."""
        scale = 1.0 / (self.count - 1) / self.count if self.count > 1 else math.nan
        return np.sqrt(self._diagonal_m2 * scale)

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state as plain numbers and copies of arrays; restoring them is exact."""
        return {
            "tracks_diagonal": self.tracks_diagonal,
            "count": self.count,
            "nonfinite": self.nonfinite,
            "trace": self._trace,
            "trace_m2": self._trace_m2,
            "diagonal": self._diagonal.copy(),
            "diagonal_m2": self._diagonal_m2.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state`, from `state_dict`, left off.

        Raises
        ------
        ValueError
            If `state` is not an average's, or only one keeps the diagonal; nothing is changed then.
        """
        if not isinstance(state, Mapping) or set(state) != set(self.state_dict()):
            raise ValueError(
                f"`state` must come from `ProbeAverage.state_dict()`, got {type(state).__name__}."
            )
        if state["tracks_diagonal"] != self.tracks_diagonal:
            raise ValueError(
                f"`state` must have been saved with diagonal={self.tracks_diagonal}, "
                f"got diagonal={state['tracks_diagonal']}."
            )
        self.count, self.nonfinite = int(state["count"]), int(state["nonfinite"])
        self._trace, self._trace_m2 = float(state["trace"]), float(state["trace_m2"])
        self._diagonal = np.array(state["diagonal"], dtype=np.float64)
        self._diagonal_m2 = np.array(state["diagonal_m2"], dtype=np.float64)


def _write(
    kernel: Callable[..., None], dim: int, seed: int, index: int, dtype: DTypeLike, out: Floats | None
) -> Floats:
    """Let `kernel` write a probe, in chunks on several threads."""
    dim = _checks.count("dim", dim, 1)
    seed_word, index_word = _word("seed", seed), _word("index", index)
    probe = _new(dim, dtype) if out is None else _checked_out(out, dim)
    _chunks(dim, lambda part: kernel(probe[part], seed_word, index_word, part.start))
    return probe


def _chunks(dim: int, task: Callable[[slice], Any]) -> list[Any]:
    """Return what `task` returns of each chunk of `dim` columns, in order."""
    if dim <= CHUNK:
        return [task(slice(0, dim))]
    return threads.run(
        lambda i: task(slice(i * CHUNK, min((i + 1) * CHUNK, dim))),
        -(-dim // CHUNK),
    )


def _word(name: str, value: int) -> np.uint64:
    number = _checks.count(name, value, 0)
    if number >= 2**64:
        raise ValueError(f"`{name}` must be below 2**64, got {value!r}.")
    return np.uint64(number)


def _new(dim: int, dtype: DTypeLike) -> Floats:
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"`dtype` must be float32 or float64, got {kind}.")
    probe: Floats = np.empty(dim, dtype=kind)
    return probe


def _checked_out(out: Any, dim: int) -> Floats:
    probe = _vector("out", out)
    if id(probe) != id(out) or not probe.flags.writeable or probe.shape != (dim,):
        raise ValueError(f"`out` must be a contiguous, writable array of shape ({dim},), got {out.shape}.")
    return probe


def _vector(name: str, value: Any) -> Floats:
    """Return `value` as a contiguous (D,) array, copied if it is strided."""
    array = np.asarray(value)
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise TypeError(f"`{name}` must hold float32 or float64, got dtype {array.dtype}.")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"`{name}` must have shape (D,) with D at least 1, got shape {array.shape}.")
    vector: Floats = np.ascontiguousarray(array)
    return vector
