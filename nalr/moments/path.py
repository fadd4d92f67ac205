"""Where the parameters have been, and what the fresh gradient says of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks, _state, kernels
from nalr.arrays import passes
from nalr.arrays.gradients import Gradients
from nalr.moments.record import Moments

Vector = NDArray[Any]

DTYPES = ("float64", "float32")

DECAY = 0.95
"""Memory of the running mean of the parameters: it halves the noise-floor term of the fast directions."""


class Path:
    """Where the parameters have been: displacement from the start, its running mean, the last step.

    Three D-vectors, changed in the pass that measures the rows. The start slides after the parameters at the
    rate `forgetting`, so that endless runs judge their rate by recent travel.

    Parameters
    ----------
    decay : float
        Memory of the running mean x̄, in [0, 1).
    dtype : str
        "float64", or "float32" for half of the memory. The displacement itself is kept, not the places that
        it is the difference of, so float32 rounds it by 6e-8 of its length a step.
    """

    __slots__ = (
        "broken",
        "decay",
        "displacement",
        "dtype",
        "last_gradient",
        "mean_displacement",
        "mode",
        "previous",
    )

    def __init__(self, decay: float = DECAY, dtype: str = "float64") -> None:
        self.decay = _checks.fraction("decay", decay)
        if dtype not in DTYPES:
            raise ValueError(f"`dtype` must be one of {', '.join(DTYPES)}, got {dtype!r}.")
        self.dtype = dtype
        self.reset()

    def reset(self) -> None:
        """Start anew from the next parameters."""
        self.mode = "new"  # then "gradient" (plain SGD assumed) or "params" (they are given)
        self.broken = False  # the gradient before was not finite, and is gone
        self.displacement: Vector = np.empty(0, self.dtype)  # (D,) x₀ − x
        self.mean_displacement: Vector = np.empty(0, self.dtype)  # (D,) x₀ − x̄
        self.previous: Vector = np.empty(0, self.dtype)  # (D,) the gradient before, or the parameters before
        self.last_gradient: Vector = np.empty(0)  # (D,) kept beside parameters for one-row steps only

    def measure(self, rows: Gradients, lr: float, params: Gradients | None, forgetting: float) -> Moments:
        """Return the sums of one step's rows and of the path, in one pass over both.

        `lr` is the rate of the step before; it is used where no `params` are given, and plain SGD is
        assumed. `forgetting` is the share of the displacement that the sliding start takes off.
        """
        if rows.num_rows == 1:  # nothing to gain from one pass, and the gradient before is kept over bad ones
            mean = np.empty(rows.dimension)
            spread, norm, _ = passes.measure(rows, None, mean)
            moments = self._close(rows, spread, norm, [], False)
            return self.advance(moments, mean, lr, params, forgetting) if moments.usable else moments
        known = self._open(rows.dimension, params)
        spread, norm, sums = passes.measure(rows, visit=self._visitor(lr, params, forgetting))
        return self._close(rows, spread, norm, sums, known)

    def advance(
        self, moments: Moments, gradient: Vector, lr: float, params: Gradients | None, forgetting: float
    ) -> Moments:
        """Do what `measure` does where the sums of the rows, and their mean, are there already."""
        known = self._open(gradient.size, params)
        visit = self._visitor(lr, params, forgetting)
        sums = passes.over_vector(lambda here: visit(gradient[here], here.start, here.stop), gradient.size)
        path = self._path_sums(sums) if known else None
        if path is not None:
            moments = moments._replace(
                step_product=path[0],
                step_squared_norm=path[1],
                displacement_product=path[2],
                displacement_squared_norm=path[3],
                previous_product=path[4],
            )
        self.broken = False
        if params is None:
            return moments
        return moments._replace(previous_product=self._gradient_product(gradient, moments.num_rows))

    def _open(self, dimension: int, params: Gradients | None) -> bool:
        """Make ready for a step; return whether there was a path in this mode."""
        mode = "gradient" if params is None else "params"
        if self.mode == mode and self.displacement.size == dimension:
            return True
        self.reset()
        self.mode = mode
        self.displacement = np.zeros(dimension, self.dtype)
        self.mean_displacement = np.zeros(dimension, self.dtype)
        self.previous = np.zeros(dimension, self.dtype)
        if params is not None:
            params.copy_row(self.previous)
        return False

    def _visitor(self, lr: float, params: Gradients | None, forgetting: float) -> passes.Visitor:
        """Return what advances the columns of a chunk of the mean gradient, and sums over them."""
        keep, decay = 1.0 - forgetting, self.decay
        travelled, average, previous = self.displacement, self.mean_displacement, self.previous

        def by_gradient(gradient: Vector, start: int, stop: int) -> tuple[float, ...]:
            d, m, p = travelled, average, previous
            if gradient.size < d.size:
                d, m, p = d[start:stop], m[start:stop], p[start:stop]
            sums: tuple[float, ...] = kernels.path.advance_by_gradient(d, m, p, gradient, lr, keep, decay)
            return sums

        def by_parameters(gradient: Vector, start: int, stop: int) -> tuple[float, ...]:
            assert params is not None
            d, m, p = travelled[start:stop], average[start:stop], previous[start:stop]
            here = params.row(start, stop)
            return (*kernels.path.advance_by_parameters(d, m, p, here, gradient, keep, decay), math.nan)

        return by_gradient if params is None else by_parameters

    def _close(
        self, rows: Gradients, spread: float, norm: float, sums: list[tuple[float, ...]], known: bool
    ) -> Moments:
        """Return the record of a step; the sums of the path are in it where they say something."""
        count, dimension = rows.num_rows, rows.dimension
        if not spread + norm < math.inf:  # neither is negative, so this sees nan as well
            if sums and self.mode == "gradient":
                self.previous[:] = 0.0  # it holds what was not finite; the step of this gradient is not made
                self.broken = True
            bad = passes.count_nonfinite(rows)
            return Moments(count, float(count), dimension, norm, spread, nonfinite=bad)
        path: Any = self._path_sums(sums) if known else None
        self.broken = False
        if path is None:
            return Moments(count, float(count), dimension, norm, spread)
        return Moments(count, float(count), dimension, norm, spread, *path)

    def _path_sums(self, sums: list[tuple[float, ...]]) -> tuple[float, ...] | None:
        """Return the path's sums over all chunks; None, and a new path, where they cannot be squared."""
        added = sums[0] if len(sums) == 1 else tuple(map(sum, zip(*sums, strict=True)))
        if not -math.inf < added[1] + added[2] + added[3] < math.inf:
            self.displacement[:] = 0.0
            self.mean_displacement[:] = 0.0
            return None
        return (*added[:4], math.nan) if self.broken else added

    def _gradient_product(self, gradient: Vector, num_rows: int) -> float:
        """Return ⟨ḡ, ḡ before⟩, kept only where one row a step leaves no other measure of noise."""
        if num_rows > 1:
            self.last_gradient = np.empty(0)
            return math.nan
        known = self.last_gradient.size > 0
        product = passes.inner_product(gradient, self.last_gradient) if known else math.nan
        self.last_gradient = gradient.copy()
        return product

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        return _state.fields_to_dict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        _state.fields_from_dict(self, state)
