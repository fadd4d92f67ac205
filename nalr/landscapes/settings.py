"""Checks shared by the settings of surfaces, noises and streams."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks


def vector(name: str, value: ArrayLike, dim: int) -> NDArray[np.float64]:
    """Return `value` as `dim` finite numbers (D,)."""
    array = _checks.array(name, value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {array.dtype}.")
    if array.shape != (dim,):
        raise ValueError(f"`{name}` must have shape ({dim},), got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got {array!r}.")
    return array.astype(np.float64)


def non_negative(name: str, value: float) -> float:
    """Return `value` if it is finite and at least 0."""
    return _checks.real(name, value, "non-negative and finite", 0.0, math.inf, closed="left")


def flag(name: str, value: bool) -> bool:
    """Return `value` if it is a bool; 1 is refused as a likely misplaced number."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return bool(value)


def seed_or_fresh(seed: int | None) -> int:
    """Return `seed`, or a random one, so that the repr repeats any run."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return _checks.count("seed", seed, 0)
