"""What a run did: columns of loss, rate, noise and reasons, in bounded memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
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
)
COLUMNS = (*NUMBERS, "reason")


class History:
    """Columns of a run, one entry a recorded step.

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
    ) -> None:
        """Record a step, if its turn has come; reasons are counted at every step."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if step % self.stride:
            return
        entry = (step, loss, smoothed_loss, lr, noise_scale, noise_scale_low, noise_scale_high, curvature)
        self._entries.append((*entry, reason))
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
        """Take the state of `state_dict` exactly."""
        self.stride = int(state["stride"])
        self._entries = list(zip(*(state["columns"][name] for name in COLUMNS), strict=True))
        self._counts = dict(state["counts"])
