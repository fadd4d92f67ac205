"""Running averages over random probes of a matrix: its trace and its diagonal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _state
from nalr.curvature.probes import Floats, chunks, vector

Vector = NDArray[np.float64]


class ProbeAverage:
    """Running mean and variance of vᵀHv, and if asked of v ⊙ Hv, over random probes v.

    Parameters
    ----------
    diagonal : bool
        Whether to average v ⊙ Hv as well, in two float64 vectors.

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
    Σ v ⊙ Hv / Σ v ⊙ v (Bekas, Kokiopoulou & Saad 2007) removes most of that, but is biased for few probes
    and has no simple running variance: use signs.

    Cost of `update`: one pass over the two vectors, which also finds values that are not finite; with
    `diagonal` a second over those and the two of the state.

    References
    ----------
    Hutchinson (1990), Commun. Stat. Simul. Comput. 19, 433; Welford (1962), Technometrics 4, 419; Chan, Golub
    & LeVeque (1979), Stanford STAN-CS-79-773; Bekas, Kokiopoulou & Saad (2007), Appl. Numer. Math. 57, 1214.

    Examples
    --------
    >>> from nalr.curvature import rademacher
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

        probe, product = vector("probe", probe), vector("product", product)
        known = self._diagonal.size or probe.size
        if not probe.size == product.size == known:
            raise ValueError(
                f"`probe` and `product` must have the same shape{' as before' if self.count else ''}, "
                f"({known},), got {probe.shape} and {product.shape}."
            )
        value = float(sum(chunks(probe.size, lambda part: moments.dot(probe[part], product[part]))))
        if not math.isfinite(value):
            self.nonfinite += 1
            return value
        if self.tracks_diagonal:
            if not self._diagonal.size:
                self._diagonal, self._diagonal_m2 = np.zeros(probe.size), np.zeros(probe.size)
            mean, m2, count = self._diagonal, self._diagonal_m2, self.count
            chunks(
                probe.size,
                lambda part: kernels.hutchinson_step(mean[part], m2[part], count, probe[part], product[part]),
            )
        self.count += 1
        deviation = value - self._trace
        self._trace += deviation / self.count
        self._trace_m2 += deviation * (value - self._trace)
        return value

    def merge(self, other: ProbeAverage) -> ProbeAverage:
        """Fold in another average of the same matrix; return this one.

        Raises
        ------
        ValueError
            If only one of them keeps the diagonal, or the lengths differ.
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
            chunks(
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
            "settings": repr(self),
            "count": self.count,
            "nonfinite": self.nonfinite,
            "trace": self._trace,
            "trace_m2": self._trace_m2,
            "diagonal": self._diagonal.copy(),
            "diagonal_m2": self._diagonal_m2.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state`, of `state_dict`: what follows is bit-identical.

        Raises
        ------
        ValueError
            If `state` was saved under other settings; nothing is changed then.
        """
        _state.saved_by(self, state)
        self.count, self.nonfinite = int(state["count"]), int(state["nonfinite"])
        self._trace, self._trace_m2 = float(state["trace"]), float(state["trace_m2"])
        self._diagonal = np.array(state["diagonal"], dtype=np.float64)
        self._diagonal_m2 = np.array(state["diagonal_m2"], dtype=np.float64)
