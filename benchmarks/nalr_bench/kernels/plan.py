"""Which workloads, at which sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nalr_bench.kernels import batches, steps, streams
from nalr_bench.kernels.data import Pool
from nalr_bench.kernels.options import GROUPS
from nalr_bench.workload import Workload

ROWS = (4, 32, 256)

LARGEST, LARGEST_QUICK = 4 * 10**8, 3 * 10**7
"""Most values of a batch."""

BATCH_SHARE = 8
"""Bytes per value of a batch: its own, and NumPy's copy of the deviations."""

KIND_SHARE = 40
"""Bytes per value of other types: float32, twice as wide for windows, and two copies in float64."""

ROW_SHARE = 4 * 8 + 3 * (4 + 8) + 16
"""Bytes per parameter of single rows: two means and Σ(g − ḡ)², the check's rows twice, two temporaries."""


@dataclass(frozen=True)
class Plan:
    """Workloads in order, and what was left out, with the reason."""

    workloads: list[Workload]
    left_out: list[str]


def plan(
    memory: int,
    num_threads: int,
    quick: bool = False,
    sizes: Sequence[int] | None = None,
    only: Sequence[str] | None = None,
) -> Plan:
    """Return the workloads of the groups `only`, which use at most half of `memory` bytes.

    `sizes` are D of the groups `batch` and `rows`. Batches also run on one thread.
    """
    chosen = set(only or GROUPS)
    pool = Pool()
    workloads: list[Workload] = []
    left_out: list[str] = []
    room = memory // 2
    if "batch" in chosen:
        shapes, left_out = _shapes(sizes or _powers(3, 6 if quick else 8), quick, room)
        workloads += _batches(pool, shapes, num_threads)
    rows, dimension = 32, 2 * 10**5 if quick else 10**6
    if "types" in chosen and KIND_SHARE * rows * dimension > room:
        left_out.append(f"types: {rows} × {dimension} would take more than half of the memory that is free")
    elif "types" in chosen:
        workloads += batches.kinds(pool, rows, dimension, num_threads)
    if "rows" in chosen:
        for size in sizes or _powers(6, 6 if quick else 7):
            if ROW_SHARE * size > room:
                left_out.append(f"rows: {size} would take more than half of the memory that is free")
            else:
                workloads += [
                    streams.trace(pool, size, num_threads),
                    streams.running(pool, size, num_threads),
                ]
    if "step" in chosen:
        workloads += [steps.whole_step(pool, dtype, num_threads) for dtype in ("float32", "float64")]
    count = 10**5 if quick else 10**6
    if "loss" in chosen:
        workloads += [steps.updates(1), steps.average(count, 1), steps.low_pass(count, 1)]
    if "probes" in chosen:
        workloads += [steps.signs(10 * count, num_threads, reuse) for reuse in (True, False)]
    return Plan(workloads, left_out)


def _powers(first: int, last: int) -> list[int]:
    return [10**k for k in range(first, last + 1)]


def _shapes(sizes: Sequence[int], quick: bool, room: int) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the (B, D) to measure, and a line for each that is left out."""
    largest = LARGEST_QUICK if quick else LARGEST
    shapes, left_out = [], []
    for rows in ROWS:
        for size in sizes:
            if rows * size > largest:
                left_out.append(f"batch: {rows} × {size} is more than {largest:.0e} values")
            elif BATCH_SHARE * rows * size > room:
                left_out.append(
                    f"batch: {rows} × {size} would take more than half of the memory that is free"
                )
            else:
                shapes.append((rows, size))
    return shapes, left_out


def _batches(pool: Pool, shapes: Sequence[tuple[int, int]], num_threads: int) -> list[Workload]:
    """Return batches on all threads, against all rivals, and on one, against the bandwidth."""
    found = [
        batches.batch(pool, rows, size, count, rivals=count == num_threads)
        for count in sorted({1, num_threads}, reverse=True)
        for rows, size in shapes
    ]
    medium = [(rows, size) for rows, size in shapes if rows == 32 and size <= 10**6][-1:]
    return found + [batches.variances(pool, rows, size, num_threads) for rows, size in medium]
