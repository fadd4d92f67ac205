"""Where the parameters have been, and what the fresh gradient says of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.moments import Moments

Vector = NDArray[np.float64]


class Path:
    """Where the parameters have been: displacement from the start, its running mean, the last step.

    Three D-vectors of float64. The start slides after the parameters at the rate `forgetting`, so that
    endless runs judge their rate by recent travel.

    Parameters
    ----------
    decay : float
        Memory of the running mean x̄, in [0, 1): .95 halves the noise-floor term of the fast directions.
    """

    __slots__ = ("decay", "displacement", "last_gradient", "mean_displacement", "mode", "previous")

    def __init__(self, decay: float = 0.95) -> None:
        self.decay = _checks.fraction("decay", decay)
        self.reset()

    def reset(self) -> None:
        """Start anew from the next parameters."""
        self.mode = "new"  # then "gradient" (plain SGD assumed) or "params" (they are given)
        self.displacement: Vector = np.empty(0)  # (D,) x₀ − x
        self.mean_displacement: Vector = np.empty(0)  # (D,) x₀ − x̄
        self.previous: Vector = np.empty(0)  # (D,) the gradient before, or the parameters before
        self.last_gradient: Vector = np.empty(0)  # (D,) kept beside parameters for one-row steps only

    def advance(
        self, moments: Moments, gradient: Vector, lr: float, params: NDArray[Any] | None, forgetting: float
    ) -> Moments:
        """Make the step that led here part of the path; return `moments` with the sums of the path.

        `lr` is the rate of the step before; it is used where no `params` are given, and plain SGD is
        assumed. `forgetting` is the share of the displacement that the sliding start takes off.
        """
        if self.mode != ("gradient" if params is None else "params"):
            return self._begin(moments, gradient, params)
        keep = 1.0 - forgetting
        if params is None:
            sums = self._by_gradient(gradient, lr, keep)
        else:
            sums = self._by_params(gradient, params, keep, moments.num_rows)
        if not math.isfinite(sums[1] + sums[2] + sums[3]):  # too large to square: what follows is a new path
            return self._begin(moments, gradient, params)
        return moments._replace(
            step_product=sums[0],
            step_squared_norm=sums[1],
            displacement_product=sums[2],
            displacement_squared_norm=sums[3],
            previous_product=sums[4],
        )

    def _begin(self, moments: Moments, gradient: Vector, params: NDArray[Any] | None) -> Moments:
        self.reset()
        self.mode = "gradient" if params is None else "params"
        self.displacement = np.zeros(gradient.size)
        self.mean_displacement = np.zeros(gradient.size)
        self.previous = np.array(gradient if params is None else params, dtype=np.float64)
        return moments

    def _by_gradient(self, gradient: Vector, lr: float, keep: float) -> tuple[float, ...]:
        from nalr.kernels import path as kernels

        return kernels.advance_by_gradient(
            self.displacement, self.mean_displacement, self.previous, gradient, lr, keep, self.decay
        )

    def _by_params(
        self, gradient: Vector, params: NDArray[Any], keep: float, num_rows: int
    ) -> tuple[float, ...]:
        from nalr.kernels import path as kernels

        sums = kernels.advance_by_parameters(
            self.displacement, self.mean_displacement, self.previous, params, gradient, keep, self.decay
        )
        return (*sums, self._gradient_product(gradient, num_rows))

    def _gradient_product(self, gradient: Vector, num_rows: int) -> float:
        """Return ⟨ḡ, ḡ before⟩, kept only where one row a step leaves no other measure of noise."""
        from nalr.kernels import moments as kernels

        if num_rows > 1:
            self.last_gradient = np.empty(0)
            return math.nan
        product = kernels.dot(gradient, self.last_gradient) if self.last_gradient.size else math.nan
        self.last_gradient = gradient.copy()
        return product

    def state_dict(self) -> dict[str, Any]:
        """Return the state; arrays are copies."""
        state = {name: getattr(self, name) for name in self.__slots__}
        return {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in state.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        for name in self.__slots__:
            value = state[name]
            setattr(self, name, np.array(value, dtype=np.float64) if isinstance(value, np.ndarray) else value)
