"""What a run did: columns of loss, rate, noise and reasons, in bounded memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr import _checks

NUMBERS = (
    "step",
    "loss",
    "smoothed_loss",
    "lr",
    "noise_scale",
    "noise_scale_low",
    "noise_scale_high",
    "curvature",
    "gradient_noise_scale",
    "signal_fraction",
    "batch_size",
)
COLUMNS = (*NUMBERS, "reason")
REQUIRED = ("step", "loss", "lr")
"""What columns must have to be those of a run."""


class History:
    """Columns of a run, one entry a recorded step.

    | column | meaning |
    | :-- | :-- |
    | `step`, `loss`, `lr` | the step, from 0; its loss; the learning rate returned for it |
    | `smoothed_loss` | the smoothed loss |
    | `noise_scale` | √(tr Σ/D), averaged; `noise_scale_low` and `noise_scale_high` are its interval |
    | `curvature` | along the step, where the policy measures it |
    | `gradient_noise_scale` | B_simple = tr Σ/(G·G) of the averages, in samples; nan if G·G is not positive |
    | `signal_fraction` | ρ = G·G/(G·G + tr Σ/B), in [0, 1]; 0 if G·G is not positive |
    | `batch_size` | B of the step, in samples |
    | `reason` | why the rate is what it is |

    Parameters
    ----------
    capacity : int
        Most entries kept, even and at least 16. When it is reached every second entry is dropped and from
        then on only every second step is recorded: an endless run keeps its whole course, ever coarser.

    Examples
    --------
    >>> history = History(capacity=16)
    >>> for step in range(100):
    ...     history.append(step, loss=1.0, smoothed_loss=1.0, lr=0.1, reason="hold")
    >>> len(history), history.to_dict()["step"][:4]
    (13, [0, 8, 16, 24])
    """

    def __init__(self, capacity: int = 65536) -> None:
        capacity = _checks.count("capacity", capacity, 16)
        if capacity % 2:
            raise ValueError(f"`capacity` must be even, got {capacity}.")
        self.capacity = capacity
        self.reset()

    def __repr__(self) -> str:
        return f"History(capacity={self.capacity}), {len(self)} entries, every {self.stride}. step"

    def __len__(self) -> int:
        return len(self._entries)

    def reset(self) -> None:
        """Forget every entry."""
        self.stride = 1
        self._entries: list[tuple[Any, ...]] = []  # in the order of `COLUMNS`
        self._counts: dict[str, int] = {}

    def append(
        self,
        step: int,
        loss: float,
        smoothed_loss: float,
        lr: float,
        reason: str,
        noise_scale: float = math.nan,
        noise_scale_low: float = math.nan,
        noise_scale_high: float = math.nan,
        curvature: float = math.nan,
        gradient_noise_scale: float = math.nan,
        signal_fraction: float = math.nan,
        batch_size: float = math.nan,
    ) -> None:
        """Record a step, if its turn has come; reasons are counted at every step."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if step % self.stride:
            return
        noise = (noise_scale, noise_scale_low, noise_scale_high, curvature)
        batch = (gradient_noise_scale, signal_fraction, batch_size)
        self._entries.append((step, loss, smoothed_loss, lr, *noise, *batch, reason))
        if len(self._entries) >= self.capacity:
            self.stride *= 2
            self._entries = [kept for kept in self._entries if kept[0] % self.stride == 0]

    @property
    def reason_counts(self) -> dict[str, int]:
        """How often each reason decided, over all steps, most frequent first."""
        return dict(sorted(self._counts.items(), key=lambda item: -item[1]))

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the columns as lists, by name."""
        if not self._entries:
            return {name: [] for name in COLUMNS}
        return {
            name: list(column) for name, column in zip(COLUMNS, zip(*self._entries, strict=True), strict=True)
        }

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Return the columns as arrays: float64, whole numbers for `step`, strings for `reason`."""
        return {name: np.asarray(column) for name, column in self.to_dict().items()}

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the columns to a CSV file with a header line."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(self._entries)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain lists and numbers."""
        return {"stride": self.stride, "columns": self.to_dict(), "counts": dict(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly; a number that an earlier version did not keep is nan."""
        columns = state["columns"]
        missing = [math.nan] * len(columns["step"])
        numbers = [columns.get(name, missing) for name in NUMBERS]
        self._entries = list(zip(*numbers, columns["reason"], strict=True))
        self.stride = int(state["stride"])
        self._counts = dict(state["counts"])


def read_columns(history: Any, name: str, optional: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return the columns of a run as arrays (N,): numbers as float64, `reason` as strings.

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
    for column in (*wanted, "reason"):
        if column in columns and len(columns[column]) != length:
            raise ValueError(
                f"{name} must have columns of equal length, "
                f"got {length} of `step` and {len(columns[column])} of `{column}`."
            )
    missing = np.full(length, np.nan)
    read: dict[str, NDArray[Any]] = {
        column: _numbers(column, columns[column]) if column in columns else missing for column in wanted
    }
    reasons = _values(columns["reason"]) if "reason" in columns else [""] * length
    named = ["" if reason is None or reason != reason else str(reason) for reason in reasons]  # nan: none
    read["reason"] = np.array(named, dtype=np.str_)
    return read


def _values(column: Any) -> Any:
    # A pandas frame's `to_dict` gives each column as {index: value}.
    return list(column.values()) if isinstance(column, Mapping) else column


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(_values(column), dtype=np.float64)  # None becomes nan
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must hold real numbers.") from error
    if array.ndim != 1:
        raise ValueError(f"`{name}` must have one number a step, got shape {array.shape}.")
    return array
