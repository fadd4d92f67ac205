"""Input checks, each raising the one-sentence error of its rule."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numpy as np


class NalrWarning(UserWarning):
    """Every warning of this package; filter by it to silence or raise them all."""


class NoiseWarning(NalrWarning):
    """A measurement could not be made as asked; the message says why and what to do."""


class CacheWarning(NalrWarning):
    """Compiled kernels cannot be kept on disk, so every process compiles them anew."""


def warn_past_end(steps: int, lr: float) -> None:
    """Warn that a run goes on past its horizon."""
    warnings.warn(
        f"All {steps} decisions that `total_steps` gives have been made: what follows was not planned, and "
        f"the rate is {lr:.3g}. For more steps give a larger `total_steps`.",
        NoiseWarning,
        stacklevel=4,
    )


def real(name: str, value: Any, rule: str, low: float, high: float, *, closed: str = "both") -> float:
    """Return `value` as a float if it is a real number within [low, high].

    `closed` says which ends belong to the range: "both", "left", "right" or "neither". `rule` is the
    text of the range as the message gives it.
    """
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.floating, np.integer)):
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


def word(name: str, value: Any) -> int:
    """Return `value` as an int if it is a whole number in [0, 2⁶⁴), as seeds and counters must be."""
    number = count(name, value, 0)
    if number >= 2**64:
        raise ValueError(f"`{name}` must be below 2**64, got {value!r}.")
    return number


def refuse_masked(name: str, value: Any) -> None:
    """Raise if a masked array has masked values: NumPy forgets the mask on the way to an array.

    Items of a list are looked at too, one level deep.
    """
    for array in value if type(value) in (list, tuple) else (value,):
        if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
            masked = int(np.ma.getmaskarray(array).sum())
            raise ValueError(
                f"`{name}` must not have masked values, got {masked} of {array.size}. "
                "Leave their rows out, or give a number for them with `.filled(number)`."
            )


def array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """Return `value` as an array, if nothing in it is masked."""
    refuse_masked(name, value)
    return np.asarray(value)


def real_array(name: str, value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return `value` as an array of float64, if nothing in it is masked or complex."""
    found = array(name, value)
    if found.dtype.kind == "c":
        raise TypeError(f"`{name}` must hold real numbers, got dtype {found.dtype}.")
    return found.astype(np.float64, copy=False)


def scalar(name: str, value: Any) -> float:
    """Return a loss-like `value` as a float: a number, or an array or tensor of one element.

    It may be nan or inf. `item()` is asked where there is one: it reads tensors of any type and place.
    """
    if type(value) is float:
        return value
    number = value
    refuse_masked(name, value)
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
