"""The run that a report is about, from whatever holds one."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.reporting.columns import REQUIRED, TEXTS, read_columns
from nalr.reporting.history import NUMBERS

Array = NDArray[np.float64]
OPTIONAL = tuple(name for name in NUMBERS if name not in REQUIRED)
LOSSES = ("loss", "smoothed_loss")
SIZES = ("noise_scale", "noise_scale_low", "noise_scale_high", "gradient_noise_scale", "batch_size")
"""What counts in a unit."""


@dataclass(frozen=True)
class Run:
    """A run's columns and what else is known of it.

    Attributes
    ----------
    columns : dict of str to array of shape (N,)
        Those of `History`, nan where the run has no such column.
    steps : int
        Steps made; more than N where the history was thinned.
    reasons : dict of str to int
        How often each reason decided, most frequent first: over all steps if a history counted them, over
        the recorded ones otherwise.
    base_lr, min_lr, max_lr : float
        nan where the source does not have them.
    total_steps : int or None
        The horizon, if one was given.
    knows_horizon : bool
        Whether the source would have a horizon if one was given: a record alone does not.
    predicted : bool
        Whether no loss was given, so that `loss` is the change of it that gradients predict. Where some were
        given, what was predicted in other steps is nan.
    unit : str
        What batch sizes and noise scales count in most steps; in others they are nan.
    """

    columns: dict[str, NDArray[Any]]
    steps: int
    reasons: dict[str, int]
    base_lr: float = math.nan
    min_lr: float = math.nan
    max_lr: float = math.nan
    total_steps: int | None = None
    knows_horizon: bool = False
    predicted: bool = False
    unit: str = "sample"

    def __len__(self) -> int:
        return len(self.columns["step"])

    def first_step_of(self, reason: str) -> float:
        """Return the first recorded step with that reason; nan if none was recorded."""
        found = np.flatnonzero(self.columns["reason"] == reason)
        return float(self.columns["step"][found[0]]) if found.size else math.nan


def ends(values: NDArray[Any]) -> tuple[float, float]:
    """Return the first and the last finite value; nan where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite[0]), float(finite[-1])) if finite.size else (math.nan, math.nan)


def extreme(values: NDArray[Any], steps: NDArray[Any], best: Any) -> tuple[float, float]:
    """Return the finite value that `best` chooses by its index, and its step; nan where there is none."""
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return math.nan, math.nan
    index = known[best(values[known])]
    return float(values[index]), float(steps[index])


def read_run(source: Any) -> Run:
    """Return the run of a controller, a history, a mapping of columns, or a CSV file."""
    if isinstance(source, (str, PathLike)):
        return _of_columns(_csv_columns(source), f"`{source}`")
    if not hasattr(source, "history"):
        return _of_columns(source, "`history`")
    run = _of_columns(source.history, "`history.history`")
    controller = getattr(source, "controller", source)  # the forms of `nalr.torch` have one
    return replace(
        run,
        base_lr=float(getattr(controller, "base_lr", math.nan)),
        min_lr=float(getattr(controller, "min_lr", math.nan)),
        max_lr=float(getattr(controller, "max_lr", math.nan)),
        total_steps=getattr(controller, "total_steps", None),
        knows_horizon=hasattr(controller, "total_steps"),
    )


def _of_columns(history: Any, name: str) -> Run:
    columns = read_columns(history, name, OPTIONAL)
    predicted = columns["loss_source"] == "predicted"
    if not predicted.all():
        _forget(columns, LOSSES, predicted)
    units = Counter(unit for unit in columns["unit"].tolist() if unit)
    unit = units.most_common(1)[0][0] if units else "sample"
    if len(units) > 1:
        _forget(columns, SIZES, columns["unit"] != unit)
    without = bool(predicted.size) and bool(predicted.all())
    counts = getattr(history, "reason_counts", None)
    if isinstance(counts, Mapping):
        return Run(columns, sum(counts.values()), dict(counts), predicted=without, unit=unit)
    named = Counter(reason for reason in columns["reason"].tolist() if reason)
    steps = _steps_spanned(columns["step"])
    return Run(columns, steps, dict(named.most_common()), predicted=without, unit=unit)


def _forget(columns: dict[str, NDArray[Any]], names: tuple[str, ...], where: NDArray[np.bool_]) -> None:
    """Put nan into columns at some steps."""
    for name in names:
        columns[name] = np.where(where, math.nan, columns[name])


def _steps_spanned(steps: Array) -> int:
    """Return how many steps a column of them spans: what was thinned out is counted."""
    finite = steps[np.isfinite(steps)]
    return max(int(finite.max() - finite.min()) + 1, len(steps)) if finite.size else len(steps)


def _csv_columns(path: str | PathLike[str]) -> Mapping[str, list[str]]:
    """Return the columns of a file of `History.to_csv`; an empty field is nan."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            header, *rows = list(csv.reader(file)) or [[]]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"`{path}` must be a CSV file in UTF-8 ({error}).") from None
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(
                f"`{path}` must have {len(header)} fields in each line, got {len(row)} in line {number}."
            )
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return {
        name: [field if name in TEXTS else field or "nan" for field in column]
        for name, column in zip(header, columns, strict=True)
    }
