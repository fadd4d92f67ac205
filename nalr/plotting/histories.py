"""Training histories, read into columns of equal length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.reporting.columns import TEXTS, read_columns

Array = NDArray[np.float64]
OPTIONAL = ("smoothed_loss", "noise_scale", "noise_scale_low", "noise_scale_high")


@dataclass(frozen=True)
class History:
    """One run: columns (N,) as float64, all nan where the run has no such column; one reason a step.

    `predicted`: no loss was given, and `loss` is the change of it that gradients predict.
    """

    step: Array
    loss: Array
    lr: Array
    smoothed_loss: Array
    noise_scale: Array
    noise_scale_low: Array
    noise_scale_high: Array
    reason: tuple[str, ...]
    predicted: bool = False

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
    columns = read_columns(history, name, OPTIONAL)
    if columns["step"].size == 0:
        raise ValueError(f"{name} must have at least one step, got none.")
    reasons, sources, _ = (columns.pop(name) for name in TEXTS)
    predicted = bool((sources == "predicted").all())
    return History(**columns, reason=tuple(map(str, reasons)), predicted=predicted)
