"""Checks at the door, each raising the one-sentence error of its rule."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray


class NalrWarning(UserWarning):
    """Every warning of this package; filter by it to silence or raise them all."""


class NoiseWarning(NalrWarning):
    """A measurement could not be made as asked; the message says why and what to do."""


class CacheWarning(NalrWarning):
    """Compiled kernels cannot be kept on disk, so every process compiles them anew."""


def real(name: str, value: Any, rule: str, low: float, high: float, *, closed: str = "both") -> float:
    """Return `value` as a float if it is a real number within [low, high].

    `closed` says which ends belong to the range: "both", "left", "right" or "neither". `rule` is the
    text of the range as the message gives it.
    """
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.number)):
        raise TypeError(f"`{name}` must be a real number {rule}, got {value!r}.")
    number = float(value)
    above = number >= low if closed in ("both", "left") else number > low
    below = number <= high if closed in ("both", "right") else number < high
    if not (above and below):  # also refuses nan
        raise ValueError(f"`{name}` must be {rule}, got {value!r}.")
    return number


def positive(name: str, value: Any) -> float:
    """Return `value` as a float if it is positive and finite."""
    return real(name, value, "positive and finite", 0.0, math.inf, closed="neither")


def fraction(name: str, value: Any) -> float:
    """Return `value` as a float if it is in [0, 1)."""
    return real(name, value, "in [0, 1)", 0.0, 1.0, closed="left")


def count(name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int if it is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Integral, np.integer)):
        raise TypeError(f"`{name}` must be a whole number of at least {minimum}, got {value!r}.")
    if int(value) < minimum:
        raise ValueError(f"`{name}` must be a whole number of at least {minimum}, got {value!r}.")
    return int(value)


def scalar(name: str, value: Any) -> float:
    """Return a loss-like `value` as a float: a number, or an array or tensor of one element.

    It may be nan or inf. `item()` is asked where there is one: it reads tensors of any type and place.
    """
    if type(value) is float:
        return value
    number = value
    if hasattr(value, "item"):
        try:
            number = value.item()
        except (ValueError, RuntimeError):  # more than one element, as NumPy and torch say it
            number = None
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        number = value[0]
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(f"`{name}` must be a single real number, got {value!r}.")
    return float(number)


def rows(name: str, value: Any, dimension: int | None = None) -> NDArray[np.floating[Any]]:
    """Return `value` as a (B, D) array of float32 or float64, copying only what must be converted.

    float16 and lists are converted; strided arrays are passed on as they are.
    """
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise TypeError(
            f"`{name}` must hold floating-point numbers, got dtype {array.dtype}. Convert it with "
            "`.astype(float)` if that is what it means."
        )
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (B, D), one row per sample, got shape {array.shape}."
            + (" Use `.reshape(1, -1)` for one row." if array.ndim == 1 else "")
        )
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"`{name}` must have at least one row and one column, got shape {array.shape}.")
    if dimension is not None and array.shape[1] != dimension:
        raise ValueError(
            f"`{name}` must have {dimension} columns as in earlier updates, got {array.shape[1]}."
        )
    return native(array)


def vector(name: str, value: Any, dimension: int | None = None) -> NDArray[np.floating[Any]]:
    """Return `value` as a (D,) array of float32 or float64."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise TypeError(f"`{name}` must hold floating-point numbers, got dtype {array.dtype}.")
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"`{name}` must have shape (D,) with D at least 1, got shape {array.shape}.")
    if dimension is not None and array.size != dimension:
        raise ValueError(f"`{name}` must have {dimension} values as in earlier updates, got {array.size}.")
    return native(array)


def native(array: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return `array` in one of the two types that kernels are compiled for: float32 or float64."""
    if array.dtype in (np.float32, np.float64) and array.dtype.isnative:
        return array
    return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
