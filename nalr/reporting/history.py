"""What a run did: columns of loss, rate, noise and reasons, in bounded memory."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.noise.estimator import NoiseEstimator
from nalr.policies.base import Decision
from nalr.reporting.columns import TEXTS


class Entry(NamedTuple):
    """One step in the record; nan is what was not measured. The fields are the columns of a `History`."""

    step: int
    loss: float
    smoothed_loss: float
    lr: float
    reason: str
    noise_scale: float = math.nan
    noise_scale_low: float = math.nan
    noise_scale_high: float = math.nan
    curvature: float = math.nan
    gradient_noise_scale: float = math.nan
    signal_fraction: float = math.nan
    batch_size: float = math.nan
    loss_source: str = "given"
    unit: str = "sample"


COLUMNS = Entry._fields
NUMBERS = tuple(name for name in COLUMNS if name not in TEXTS)
INTERVAL_EVERY = 64
"""Steps between two intervals of the noise scale; they take longer than a decision."""


class History:
    """Columns of a run, one entry a recorded step.

    | column | meaning |
    | :-- | :-- |
    | `step` | the step, from 0 |
    | `loss`, `loss_source` | its loss if that is "given", nan until it comes; where no loss was ever given: \
"predicted", the change of the loss that gradients predict since the start |
    | `lr` | the learning rate that the step was made with |
    | `smoothed_loss` | the smoothed loss |
    | `noise_scale` | √(tr Σ/D), averaged; `noise_scale_low` and `noise_scale_high` are its interval |
    | `curvature` | along the step, where the policy measures it |
    | `gradient_noise_scale` | B_simple = tr Σ/(G·G) of the averages, in `unit`s; nan if G·G is not positive |
    | `signal_fraction` | ρ = G·G/(G·G + tr Σ/B), in [0, 1]; 0 if G·G is not positive |
    | `batch_size`, `unit` | B of the step, and of what: "sample", or what a row is where nobody told how \
many samples it is the mean of: "microbatch", "batch" |
    | `reason` | why the rate is what it is |

    Parameters
    ----------
    capacity : int
        Most entries kept, even and at least 16. When it is reached every second entry is dropped and from
        then on only every second step is recorded: an endless run keeps its whole course, ever coarser.

    Attributes
    ----------
    late, predicted, unit : bool, bool, str
        Of the next step recorded: whether its loss is that of the step before, whether it is a predicted one,
        and what its rows are. Who drives a controller sets them.
    turned, shift : bool, float
        How to show the loss that it was decided on: with `shift` added, and then, if `turned`, as its negative.

    Examples
    --------
    >>> history = History(capacity=16)
    >>> for step in range(100):
    ...     history.append(Entry(step, loss=1.0, smoothed_loss=1.0, lr=0.1, reason="hold"))
    >>> len(history), history.to_dict()["step"][:4]
    (13, [0, 8, 16, 24])
    """

    def __init__(self, capacity: int = 65536) -> None:
        capacity = _checks.count("capacity", capacity, 16)
        if capacity % 2:
            raise ValueError(f"`capacity` must be even, got {capacity}.")
        self.capacity = capacity
        self.late, self.predicted, self.unit = False, False, "sample"
        self.turned, self.shift = False, 0.0
        self.reset()

    def __repr__(self) -> str:
        return f"History(capacity={self.capacity}), {len(self)} entries, every {self.stride}. step"

    def __len__(self) -> int:
        return len(self._entries)

    def reset(self) -> None:
        """Forget every entry."""
        self.stride = 1
        self._entries: list[Entry] = []
        self._counts: dict[str, int] = {}
        self._recorded = False  # whether the step appended last is in the record
        self._interval = (0.0, math.inf)  # of the noise scale, when it was last asked for

    def append(self, entry: Entry) -> None:
        """Record a step, if its turn has come; reasons are counted at every step."""
        self._counts[entry.reason] = self._counts.get(entry.reason, 0) + 1
        self._recorded = entry.step % self.stride == 0
        if not self._recorded:
            return
        self._entries.append(entry)
        if len(self._entries) >= self.capacity:
            self.stride *= 2
            self._entries = [kept for kept in self._entries if kept.step % self.stride == 0]
            self._recorded = entry.step % self.stride == 0

    def record(
        self,
        step: int,
        loss: float,
        smoothed_loss: float,
        decision: Decision,
        batch_size: float,
        averages: tuple[float, float],
        noise: NoiseEstimator,
    ) -> None:
        """Append a step of the controller, with its `averages` of |G|² and tr Σ."""
        if step % INTERVAL_EVERY == 0:
            self._interval = noise.reading().noise_scale_interval
        if self.shift:
            loss, smoothed_loss = loss + self.shift, smoothed_loss + self.shift
        if self.turned:
            loss, smoothed_loss = -loss, -smoothed_loss
        low, high = self._interval if math.isfinite(self._interval[1]) else (math.nan, math.nan)
        source = "predicted" if self.predicted else "given"
        if self.late:
            self.fill_loss(loss, smoothed_loss)
            loss = smoothed_loss = math.nan
        signal, variance = averages
        if noise.population is not None:
            signal += variance / noise.population
        # Where |G|² is too weak for a number, a reading gives a lower bound of the ratio, which takes the
        # interval. The plain ratio stays here: who reads many sees from their spread what they are worth.
        known = signal > 0.0 and variance >= 0.0 and batch_size > 0.0
        nothing = 0.0 if variance > 0.0 else math.nan
        self.append(
            Entry(
                step,
                loss,
                smoothed_loss,
                decision.lr,
                decision.reason.value,
                noise_scale=math.sqrt(variance / (noise.dimension or 1)),
                noise_scale_low=low,
                noise_scale_high=high,
                curvature=decision.evidence.get("curvature", math.nan),
                gradient_noise_scale=variance / signal if known else math.nan,
                signal_fraction=signal / (signal + variance / batch_size) if known else nothing,
                batch_size=batch_size,
                loss_source=source,
                unit=self.unit,
            )
        )

    def fill_loss(self, loss: float, smoothed_loss: float = math.nan) -> None:
        """Say what the loss of the step appended last was, now that it has come."""
        if self._recorded:
            filled = self._entries[-1]._replace(loss=loss, smoothed_loss=smoothed_loss, loss_source="given")
            self._entries[-1] = filled

    @property
    def waits(self) -> bool:
        """Whether the loss of the step appended last has not come."""
        return self.late and self._recorded and math.isnan(self._entries[-1].loss)

    def correct_lr(self, lr: float) -> None:
        """Say that the step recorded last was made with another rate than was decided."""
        if self._recorded:
            self._entries[-1] = self._entries[-1]._replace(lr=lr)

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
        return {
            "stride": self.stride,
            "columns": self.to_dict(),
            "counts": dict(self._counts),
            "interval": list(self._interval),
            "next": [self.late, self.predicted, self.turned, self.shift, self.unit],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        columns = state["columns"]
        self._entries = [Entry(*row) for row in zip(*(columns[name] for name in COLUMNS), strict=True)]
        self.stride = int(state["stride"])
        self._counts = dict(state["counts"])
        low, high = state["interval"]
        self._interval = (low, high)
        steps = sum(self._counts.values())
        self._recorded = bool(self._entries) and self._entries[-1].step == steps - 1
        self.late, self.predicted, self.turned, self.shift, self.unit = state["next"]
