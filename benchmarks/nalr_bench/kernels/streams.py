"""Single rows: squared norm, and the running mean and variance of each coordinate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.moments.record import squared_norm
from nalr.noise.columns import welford
from nalr_bench.kernels.baselines import load_and_store, numpy_welford, plain_sum
from nalr_bench.kernels.data import Pool
from nalr_bench.workload import BANDWIDTH, OURS, Against, Job, Runnable, Workload, WrongAnswer, agree

Array = NDArray[Any]

ROWS = 3
"""Rows that the check folds in."""

STATE = 4 * 8
"""Bytes per parameter of mean and Σ(g − ḡ)², read and written."""


def trace(pool: Pool, dimension: int, threads: int) -> Workload:
    """Return the workload of |g|² of a row."""

    def prepare() -> Job:
        row = pool.values(dimension)

        def check() -> None:
            exact = row.astype(np.float64)
            agree("|g|²", squared_norm(row), float(exact @ exact), 1e-10)
            agree("the plain sum plus D", plain_sum(row) + dimension, float(exact.sum()) + dimension, 1e-3)

        calls = {OURS: lambda: squared_norm(row), BANDWIDTH: lambda: plain_sum(row)}
        return Job({name: Runnable(call, row.nbytes) for name, call in calls.items()}, check)

    return Workload("rows", "squared norm", 1, dimension, threads, (Against(BANDWIDTH, 0.85),), prepare)


def running(pool: Pool, dimension: int, threads: int) -> Workload:
    """Return the workload of Welford's update, in place."""

    def prepare() -> Job:
        rows = pool.rows(ROWS, dimension)
        mean, m2 = np.zeros(dimension), np.zeros(dimension)
        moved_mean, moved_m2 = np.zeros(dimension), np.zeros(dimension)

        def check() -> None:
            exact = rows.astype(np.float64)
            for fold in (welford, numpy_welford):
                mean.fill(0.0)
                m2.fill(0.0)
                for count, row in enumerate(rows):
                    fold(mean, m2, count, row)
                _close(f"mean by {fold.__name__}", mean, exact.mean(axis=0))
                _close(f"m2 by {fold.__name__}", m2, ROWS * exact.var(axis=0))
            load_and_store(moved_mean, moved_m2, rows[0])
            _close("loads and stores", moved_mean, 1e-6 * exact[0])

        calls: dict[str, Callable[[], Any]] = {
            OURS: lambda: welford(mean, m2, ROWS, rows[0]),
            BANDWIDTH: lambda: load_and_store(moved_mean, moved_m2, rows[0]),
            "NumPy": lambda: numpy_welford(mean, m2, ROWS, rows[0]),
        }
        num_bytes = rows[0].nbytes + STATE * dimension
        return Job({name: Runnable(call, num_bytes) for name, call in calls.items()}, check)

    against = (Against(BANDWIDTH, 0.85), Against("NumPy", 4.0))
    return Workload("rows", "running mean, var", 1, dimension, threads, against, prepare)


def _close(what: str, got: Array, expected: Array) -> None:
    error = float(np.abs(got - expected).max())
    if not error <= 1e-5:  # NumPy computes in float32
        raise WrongAnswer(f"{what} is off by {error:g}")
