"""Hessian products from two gradients, without second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks

Floats = NDArray[np.floating[Any]]  # float32 or float64
Vector = NDArray[np.float64]
Gradient = Callable[[Floats], ArrayLike]


def finite_difference_hvp(
    gradient: Gradient, params: ArrayLike, *, step: float | None = None
) -> FiniteDifferenceProduct:
    """Return a function v ↦ Hv from a central difference of gradients.

    Parameters
    ----------
    gradient : callable
        Takes parameters (D,) of the dtype of `params` and returns the gradient there, (D,) of float32 or
        float64. It must be deterministic: noise in it is divided by the step. The first product checks
        this with two calls at the same point.
    params : array of shape (D,), float32 or float64
        Where the Hessian is evaluated. Copied: later changes to the array have no effect.
    step : float, optional
        Multiple h > 0 of v by which the parameters move to either side. By default from ε and the norms.

    Returns
    -------
    callable
        Takes v (D,) and returns (∇L(x + hv) − ∇L(x − hv)) / 2h, (D,) in float64.

    Raises
    ------
    TypeError, ValueError
        If an argument, v or a gradient is not as described, or the gradient is not deterministic.

    Notes
    -----
    The step. A difference over 2h errs by h²/6 of the gradient's second derivative along v and by its
    rounding ε over h; the sum is least at h ~ ε^(1/3) of the length over which the loss bends, and is then
    ~ ε^(2/3) of the result. That length is unknown: h = ε^(1/3) (1 + ‖x‖) / ‖v‖ takes the parameters' own,
    with the 1 of Knoll & Keyes for parameters near zero. ε is the coarser of the dtypes of parameters and
    gradient. Expect 10 digits in float64, 4 in float32. On a quadratic there is rounding only.

    Cost: two gradients and two copies of the parameters a product; the first adds two gradients.

    References
    ----------
    Pearlmutter (1994), Neural Computation 6, 147; Knoll & Keyes (2004), J. Comput. Phys. 193, 357.

    See Also
    --------
    nalr.torch.finite_difference_hvp : The same of a model's loss.

    Examples
    --------
    >>> def gradient(x):  # of x₀² x₁ + x₁³
    ...     return np.array([2 * x[0] * x[1], x[0] ** 2 + 3 * x[1] ** 2])
    >>> hvp = finite_difference_hvp(gradient, np.array([1.0, 2.0]))  # H = [[4, 2], [2, 12]]
    >>> hvp(np.array([1.0, 0.0])).round(6)
    array([4., 2.])
    """
    return FiniteDifferenceProduct(gradient, params, step=step)


class FiniteDifferenceProduct:
    """Product with the Hessian from two gradients; made by `finite_difference_hvp`."""

    def __init__(self, gradient: Gradient, params: ArrayLike, *, step: float | None = None) -> None:
        if not callable(gradient):
            raise TypeError(f"`gradient` must be a function of the parameters, got {gradient!r}.")
        self._gradient = gradient
        self._params = _floats("params", params).copy()
        if self._params.ndim != 1 or not self._params.size:
            raise ValueError(
                f"`params` must have shape (D,) with D at least 1, got shape {self._params.shape}."
            )
        self.step = None if step is None else _checks.positive("step", step)
        self._scale = 1.0 + _norm(self._params)
        self._epsilon = 0.0  # of the coarser dtype, once a gradient was seen

    def __call__(self, vector: ArrayLike) -> Vector:
        """Return H·`vector`, (D,) in float64, up to the error of the difference."""
        v = _floats("vector", vector)
        if v.shape != self._params.shape:
            raise ValueError(f"`vector` must have shape {self._params.shape}, got {v.shape}.")
        length = _norm(v)
        if length == 0.0:
            return np.zeros(v.size)
        if not self._epsilon:
            self._epsilon = self._seen_epsilon()
        step = self.step or self._epsilon ** (1 / 3) * self._scale / length
        # The move is made in float64 and rounded once, to the dtype that `gradient` takes.
        move = step * v.astype(np.float64)
        ahead, behind = (self._gradient_at(self._params + side * move) for side in (1.0, -1.0))
        return (ahead.astype(np.float64) - behind) / (2.0 * step)

    def _seen_epsilon(self) -> float:
        """Return ε of the coarser dtype; raise unless the gradient is deterministic."""
        first, second = (self._gradient_at(self._params) for _ in range(2))
        epsilon = max(float(np.finfo(kind).eps) for kind in (first.dtype, self._params.dtype))
        change = _norm(first.astype(np.float64) - second)
        if change > epsilon ** (2 / 3) * max(_norm(first), _norm(second)):
            raise ValueError(
                f"`gradient` must return the same at the same place, got two that differ by {change:.3g}."
                " Fix the batch and the random numbers."
            )
        return epsilon

    def _gradient_at(self, params: NDArray[Any]) -> Floats:
        result = _floats("gradient", self._gradient(params.astype(self._params.dtype)))
        if result.shape != self._params.shape:
            raise ValueError(f"`gradient` must return shape {self._params.shape}, got {result.shape}.")
        return result


def _floats(name: str, value: Any) -> Floats:
    array: NDArray[Any] = _checks.array(name, value)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"`{name}` must hold float32 or float64, got dtype {array.dtype}.")
    return array


def _norm(array: NDArray[Any]) -> float:
    return float(np.linalg.norm(array.astype(np.float64, copy=False)))
