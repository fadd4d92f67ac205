"""Training histories as given: read into columns of equal length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REQUIRED = ("step", "loss", "lr")
OPTIONAL = ("smoothed_loss", "noise_scale", "noise_scale_low", "noise_scale_high")


@dataclass(frozen=True)
class History:
    """One run: columns (N,) as float64, all nan where the run has no such column; one reason a step."""

    step: Array
    loss: Array
    lr: Array
    smoothed_loss: Array
    noise_scale: Array
    noise_scale_low: Array
    noise_scale_high: Array
    reason: tuple[str, ...]

    def starts_of(self, reason: str) -> NDArray[np.intp]:
        """Return the positions at which a run of steps with that reason begins."""
        here = np.array([each == reason for each in self.reason], dtype=bool)
        return np.flatnonzero(here & ~np.concatenate([[False], here[:-1]]))


def read_histories(history: Any) -> dict[str, History]:
    """Return {name: History}; the name is empty if `history` is one run."""
    if isinstance(history, Mapping) and "step" not in history and any(map(_is_run, history.values())):
        return {str(name): _read(value, f"history {name!r}") for name, value in history.items()}
    return {"": _read(history, "`history`")}


def _is_run(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "to_dict")


def _read(history: Any, name: str) -> History:
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
    if length == 0:
        raise ValueError(f"{name} must have at least one step, got none.")
    for column in (*REQUIRED, *OPTIONAL, "reason"):
        if column in columns and len(columns[column]) != length:
            raise ValueError(
                f"{name} must have columns of equal length, "
                f"got {length} of `step` and {len(columns[column])} of `{column}`."
            )
    missing = np.full(length, np.nan)
    numbers = {
        column: _numbers(f"{column}", columns[column]) if column in columns else missing
        for column in (*REQUIRED, *OPTIONAL)
    }
    reasons = _values(columns["reason"]) if "reason" in columns else [""] * length
    return History(**numbers, reason=tuple(map(str, reasons)))


def _values(column: Any) -> Any:
    # A pandas frame's `to_dict` gives each column as {index: value}.
    return list(column.values()) if isinstance(column, Mapping) else column


def _numbers(name: str, column: Any) -> Array:
    try:
        array = np.asarray(_values(column), dtype=np.float64)  # None becomes nan
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must hold real numbers.") from error
    if array.ndim != 1:
        raise ValueError(f"`{name}` must have one number a step, got shape {array.shape}.")
    return array
