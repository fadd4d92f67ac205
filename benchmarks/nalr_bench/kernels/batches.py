"""Rows (B, D) to the sums of a step, of every size, type and layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.moments.record import Moments
from nalr.noise.estimator import NoiseEstimator
from nalr_bench.kernels.baselines import plain_sum
from nalr_bench.kernels.data import Pool, truth
from nalr_bench.machine import installed
from nalr_bench.workload import BANDWIDTH, OURS, Against, Job, Runnable, Workload, agree

Array = NDArray[Any]

LARGE = 4_000_000
"""Values from which a batch has a figure; starting threads dominates smaller ones."""

EXACT, ROUGH = 1e-5, 1e-3
"""Tolerances for us, and for rivals that sum in float32."""

LAYERS = (0.5, 0.3, 0.15, 0.04, 0.005, 0.003)
"""Shares of the parameters of layers; the last one has the rest."""


def moments(rows: Any) -> Moments:
    """Return the sums of a step, the function measured here."""
    return Moments.from_rows(rows)


def batch(pool: Pool, rows: int, dimension: int, threads: int, rivals: bool) -> Workload:
    """Return the workload of a contiguous float32 batch, with `rivals` or without."""

    def prepare() -> Job:
        gradients = pool.rows(rows, dimension)
        flat = gradients.reshape(-1)
        calls: dict[str, Callable[[], Any]] = {
            OURS: lambda: moments(gradients),
            BANDWIDTH: lambda: plain_sum(flat),
        }
        if rivals:
            calls["NumPy"] = lambda: gradients.var(axis=0, ddof=1)
            torch = installed("torch")
            if torch is not None:
                tensor = torch.from_numpy(gradients)
                calls["torch"] = lambda: tensor.var(0)

        def check() -> None:
            variance, norm = pool.truth(rows, dimension)
            _check_moments(calls[OURS](), variance, norm)
            for name in ("NumPy", "torch"):
                if name in calls:
                    agree(f"tr Σ of {name}", float(calls[name]().sum()), variance, ROUGH)
            total = float(flat.sum(dtype=np.float64)) + flat.size  # a sum near 0 has no relative error
            agree("the plain sum plus D", calls[BANDWIDTH]() + flat.size, total, ROUGH)

        return Job({name: Runnable(call, gradients.nbytes) for name, call in calls.items()}, check)

    bandwidth = Against(BANDWIDTH, 0.9 if rows * dimension >= LARGE else None)
    others = (Against("NumPy", 8.0), Against("torch", 30.0)) if rivals else ()
    return Workload("batch", "moments", rows, dimension, threads, (bandwidth, *others), prepare)


def variances(pool: Pool, rows: int, dimension: int, threads: int) -> Workload:
    """Return the workload of the variance of each coordinate, (D,)."""

    def prepare() -> Job:
        gradients = pool.rows(rows, dimension)
        flat = gradients.reshape(-1)
        ours = NoiseEstimator().compute_variance

        def check() -> None:
            variance, _ = pool.truth(rows, dimension)
            agree("sum of variances", float(ours(gradients).sum()), variance, EXACT)
            agree("that of NumPy", float(gradients.var(axis=0, ddof=1).sum()), variance, ROUGH)
            plain_sum(flat)

        calls: dict[str, Callable[[], Any]] = {
            OURS: lambda: ours(gradients),
            BANDWIDTH: lambda: plain_sum(flat),
            "NumPy": lambda: gradients.var(axis=0, ddof=1),
        }
        return Job({name: Runnable(call, gradients.nbytes) for name, call in calls.items()}, check)

    against = (Against(BANDWIDTH), Against("NumPy"))
    return Workload("batch", "variances (D,)", rows, dimension, threads, against, prepare)


def kinds(pool: Pool, rows: int, dimension: int, threads: int) -> list[Workload]:
    """Return the workloads of other types and layouts, of the same number of values."""
    return [
        _kind(pool, name, rows, dimension, threads) for name in KINDS if name != BRAIN or installed("torch")
    ]


def _kind(pool: Pool, name: str, rows: int, dimension: int, threads: int) -> Workload:
    def prepare() -> Job:
        gradients, values = KINDS[name](pool, rows, dimension)
        plain = pool.rows(rows, dimension)

        def check() -> None:
            _check_moments(moments(gradients), *truth(values))
            _check_moments(moments(plain), *pool.truth(rows, dimension))

        num_bytes = values.nbytes if name != BRAIN else values.nbytes // 2
        runnables = {
            OURS: Runnable(lambda: moments(gradients), num_bytes),
            "float32": Runnable(lambda: moments(plain), plain.nbytes),
        }
        return Job(runnables, check)

    return Workload("types", name, rows, dimension, threads, (Against("float32", 0.7),), prepare)


def _check_moments(got: Moments, variance: float, norm: float) -> None:
    agree("tr Σ", got.total_variance, variance, EXACT)
    agree("|ḡ|²", got.mean_squared_norm, norm, EXACT)


def _converted(dtype: Any) -> Callable[[Pool, int, int], tuple[Any, Array]]:
    def make(pool: Pool, rows: int, dimension: int) -> tuple[Any, Array]:
        values = pool.rows(rows, dimension).astype(dtype)
        return values, values

    return make


def _brain(pool: Pool, rows: int, dimension: int) -> tuple[Any, Array]:
    torch: Any = installed("torch")
    tensor = torch.from_numpy(pool.rows(rows, dimension)).bfloat16()
    return tensor, tensor.float().numpy()


def _second_rows(pool: Pool, rows: int, dimension: int) -> tuple[Any, Array]:
    values = pool.rows(2 * rows, dimension)[::2]
    return values, values


def _window(pool: Pool, rows: int, dimension: int) -> tuple[Any, Array]:
    start = dimension // 2
    values = pool.rows(rows, 2 * dimension)[:, start : start + dimension]
    return values, values


def _fortran(pool: Pool, rows: int, dimension: int) -> tuple[Any, Array]:
    values = np.asfortranarray(pool.rows(rows, dimension))
    return values, values


def _layers(pool: Pool, rows: int, dimension: int) -> tuple[Any, Array]:
    values = pool.rows(rows, dimension)
    ends = [int(share * dimension) for share in np.cumsum(LAYERS)]
    return [np.ascontiguousarray(layer) for layer in np.split(values, ends, axis=1)], values


BRAIN = "bfloat16 tensor"

KINDS: dict[str, Callable[[Pool, int, int], tuple[Any, Array]]] = {
    "float64": _converted(np.float64),
    "float16": _converted(np.float16),
    BRAIN: _brain,
    "every second row": _second_rows,
    "window of columns": _window,
    "Fortran order": _fortran,
    "list of layers": _layers,
}
"""Makers of rows in each form: as passed to us, and as an array of the same values."""
