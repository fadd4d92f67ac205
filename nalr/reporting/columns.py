"""The columns of a run, read from whatever holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks

TEXTS = ("reason", "loss_source", "unit")
"""Columns of words, empty where the run has none of them."""

REQUIRED = ("step", "loss", "lr")
"""What columns must have to be those of a run."""


def read_columns(history: Any, name: str, optional: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return the columns of a run as arrays (N,): numbers as float64, `TEXTS` as strings.

    Parameters
    ----------
    history : History, mapping of columns, or anything with `to_dict`
        Must have `step`, `loss` and `lr`.
    name : str
        What errors call it.
    optional : iterable of str
        Further columns of numbers; nan where the run has none of them. Any others are left alone.

    Raises
    ------
    TypeError
        If it has no columns, or they do not hold numbers.
    ValueError
        If columns are missing or of unequal length.
    """
    columns = history.to_dict() if hasattr(history, "to_dict") else history
    if not isinstance(columns, Mapping):
        raise TypeError(
            f"{name} must be a mapping of columns or have `to_dict`, got {type(history).__name__}."
        )
    for column in REQUIRED:
        if column not in columns:
            given = ", ".join(map(str, columns)) or "none"
            raise ValueError(f"{name} must have the columns step, loss and lr, got {given}.")
    length = len(columns["step"])
    wanted = (*REQUIRED, *optional)
    for column in (*wanted, *TEXTS):
        if column in columns and len(columns[column]) != length:
            raise ValueError(
                f"{name} must have columns of equal length, "
                f"got {length} of `step` and {len(columns[column])} of `{column}`."
            )
    missing = np.full(length, np.nan)
    read: dict[str, NDArray[Any]] = {
        column: _numbers(column, columns[column]) if column in columns else missing for column in wanted
    }
    for column in TEXTS:
        words = _values(columns[column]) if column in columns else [""] * length
        named = ["" if word is None or word != word else str(word) for word in words]  # nan: none
        read[column] = np.array(named, dtype=np.str_)
    return read


def _values(column: Any) -> Any:
    # A pandas frame's `to_dict` gives each column as {index: value}.
    return list(column.values()) if isinstance(column, Mapping) else column


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    _checks.refuse_masked(name, _values(column))
    try:
        array = _checks.real_array(name, _values(column))  # None becomes nan
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must hold real numbers.") from error
    if array.ndim != 1:
        raise ValueError(f"`{name}` must have one number a step, got shape {array.shape}.")
    return array
