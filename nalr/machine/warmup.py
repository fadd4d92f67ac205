"""``nalr warmup``: compile every kernel ahead of time, for images, and for jobs of many processes."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Step = Callable[[], object]

COUNTS = (1, 4, 7, 9, 40)
"""Rows per step: one, and each way in which batches are split into groups of rows."""


@dataclass(frozen=True)
class WarmupReport:
    """The result of `warmup`.

    Attributes
    ----------
    kernels : int
        Kernels compiled or loaded; 0 where ``NUMBA_DISABLE_JIT`` is set.
    seconds : float
        Some tens of seconds with an empty cache, a few with a full one.
    cache_directory : str or None
        Of the kernels; None if no directory can be written, or nothing was compiled.
    """

    kernels: int
    seconds: float
    cache_directory: str | None


def warmup(progress: Callable[[Sequence[Step]], Iterable[Step]] | None = None) -> WarmupReport:
    """Compile, or load, every kernel in every specialisation that the package uses.

    Otherwise they are compiled on first use. Run it when an image is built, or once before many processes
    start, with the same ``NUMBA_CACHE_DIR``.

    Parameters
    ----------
    progress : callable, optional
        Takes the list of steps and returns an iterable of them, as ``tqdm`` does.

    Returns
    -------
    WarmupReport

    Notes
    -----
    Calls the public classes with small arrays of every type and layout that kernels take without a copy.
    """
    began = time.perf_counter()
    kernels = compiled_functions()
    steps = _steps()
    for step in steps if progress is None else progress(steps):
        step()
    return WarmupReport(len(kernels), time.perf_counter() - began, cache_directory(kernels))


def compiled_functions() -> list[Any]:
    """Return the kernels of every module of `nalr.kernels`, as Numba's dispatchers; import them all."""
    import nalr.kernels

    names = sorted(f"nalr.kernels.{module.name}" for module in pkgutil.iter_modules(nalr.kernels.__path__))
    modules = [importlib.import_module(name) for name in names]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if hasattr(value, "py_func") and value.py_func.__module__ == module.__name__
    ]


def cache_directory(kernels: Iterable[Any]) -> str | None:
    """Return the directory of compiled kernels, or None."""
    return next((k.stats.cache_path for k in kernels if k.stats.cache_path is not None), None)


def _steps() -> list[Step]:
    """Return calls that together compile every kernel."""
    import numpy as np

    random = np.random.default_rng(0)
    batches = []
    for dtype in (np.float32, np.float64, np.float16):
        for count in COUNTS:
            rows = random.normal(size=(count, 8)).astype(dtype)
            batches += [rows, np.asfortranarray(rows), _read_only(rows)]
    steps: list[Step] = [_Call(work, rows) for rows in batches for work in (_estimate, _adapt)]
    for count in COUNTS:
        bits = (random.normal(size=(count, 8)).astype(np.float32).view(np.uint32) >> 16).astype(np.int16)
        steps += [_Call(_take_bits, rows) for rows in (bits, np.asfortranarray(bits), _read_only(bits))]
    return [*steps, _sample, _smooth, _probe, _read]


class _Call:
    """A step: a function and the rows it is given."""

    def __init__(self, work: Callable[[Any], None], rows: Any) -> None:
        self.work = work
        self.rows = rows

    def __call__(self) -> None:
        self.work(self.rows)


def _read_only(rows: Any) -> Any:
    """Return a read-only copy, as of some frameworks; another type to Numba."""
    copy = rows.copy()
    copy.flags.writeable = False
    return copy


def _estimate(rows: Any) -> None:
    from nalr.noise.estimator import NoiseEstimator

    estimator = NoiseEstimator(per_coordinate=True)
    estimator.update(rows).update(rows).reading()
    estimator.update(rows, [2.0] * len(rows)).reading()
    if len(rows) > 1:
        estimator.estimate_noise(rows)
        estimator.compute_variance(rows)
    for row in rows:
        estimator.accumulate(row)
    estimator.update().merge(NoiseEstimator(per_coordinate=True).update(rows)).reading()
    lost = rows.copy(order="A")
    lost[0, 0] = float("nan")
    NoiseEstimator(per_coordinate=True).update(lost).reading()


def _adapt(rows: Any) -> None:
    from nalr.controller import NoiseAdaptiveLR

    plain, placed, fed = NoiseAdaptiveLR(0.01), NoiseAdaptiveLR(0.01), NoiseAdaptiveLR(0.01)
    for loss in (3.0, 2.0, 1.0):
        plain.get_adapted_lr(rows, loss)
        placed.get_adapted_lr(rows, loss, rows[0] * loss)
        for row in rows:
            fed.accumulate(row)
        fed.get_adapted_lr(None, loss)


def _take_bits(rows: Any) -> None:
    """Do as `_estimate` and `_adapt` for bfloat16, which only tensors of torch have."""
    import numpy as np

    from nalr.arrays import passes as batch
    from nalr.arrays.gradients import Gradients, Part
    from nalr.moments.path import Path
    from nalr.moments.rows import RowAccumulator
    from nalr.noise.columns import PooledColumns, column_variance
    from nalr.noise.jackknife import within_step_covariance

    whole, single = Gradients(len(rows), [Part(rows)]), Gradients(1, [Part(rows[:1])])
    sums = RowAccumulator()
    sums.add_rows(whole)
    sums.add_rows(whole, np.full(len(rows), 2.0))
    sums.add(single)
    within_step_covariance(whole, sums.mean, sums.moments(), None)
    columns = PooledColumns()
    columns.update(whole)
    columns.update(single)
    if len(rows) > 1:
        column_variance(whole)
    batch.count_nonfinite(whole)
    path = Path()
    path.measure(whole, 0.1, None, 0.0)
    path.measure(whole, 0.1, single, 0.0)


def _sample() -> None:
    """Compile the kernels of `nalr.torch` for every type, without torch."""
    import numpy as np

    from nalr import kernels

    # Float32 stands for a missing gradient.
    pairs = (("f8", "f8"), ("f8", "f4"), ("f4", "f4"), ("i2", "i2"), ("i2", "f4"), ("u2", "u2"), ("u2", "f4"))
    for params, gradient in pairs:
        track = np.zeros((4, 8), "f8" if params == "f8" else "f4")
        values = np.zeros(8, params), np.zeros(8, gradient)
        kernels.sample.advance_samples([(*track, *values, 4, 4, 1.0, 0.5)])
        kernels.sample.sample_norm(values[1], 4, 4, 8)


def _smooth() -> None:
    from nalr.loss.smoother import LossSmoother
    from nalr.loss.trend import Trend

    for smoother in (LossSmoother(), LossSmoother(cutoff=0.1, window=5)):
        smoother.smooth([1.0] * 40)
    Trend(0.5).fold([1.0] * 300)  # long enough to settle; the smoother's needs thousands of losses


def _probe() -> None:
    from nalr.curvature import ProbeAverage, normal, rademacher

    for dtype in ("float32", "float64"):
        for draw in (rademacher, normal):
            probe = draw(8, seed=0, dtype=dtype)
            both = ProbeAverage(diagonal=True), ProbeAverage()
            for average in both:
                average.update(probe, probe)
                average.update(probe, probe)
            both[0].merge(both[0])


def _read() -> None:
    from nalr.machine.bandwidth import read_bandwidth

    read_bandwidth(64, 1)


def run(options: argparse.Namespace) -> int:
    """Warm up with a progress bar on a terminal, print one line, return the exit status."""
    report = warmup(_progress_bar())
    place = "not cached on disk" if report.cache_directory is None else f"cache {report.cache_directory}"
    print(f"{report.kernels} kernels ready in {report.seconds:.1f} s, {place}")
    return 0


def _progress_bar() -> Callable[[Sequence[Step]], Iterable[Step]] | None:
    """Return a progress bar if tqdm, an extra, is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return lambda steps: tqdm(steps, desc="compiling", disable=None, leave=False)
