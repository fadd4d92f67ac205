"""One pass over the rows of a step, in chunks of columns that threads share.

The chunks depend on the shape alone and their sums are added in order, so that every number of threads gives
the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nalr import kernels
from nalr.arrays import threads
from nalr.arrays.gradients import Array, Gradients, Part

T = TypeVar("T")
Vector = NDArray[np.float64]
Visitor = Callable[[Vector, int, int], tuple[float, ...]]
"""Is given the mean of columns from `start` to `stop`, while it is in the cache, and returns sums."""

WIDTH = 16384
"""Columns of a chunk are a multiple of this: `BLOCK` of the kernels, which cannot be
imported lightly."""

CHUNK = 1 << 19
"""Values of a chunk, at least: some 60 µs of reading, against 3 µs to hand it to a thread."""

LARGEST_CHUNK = 1 << 22
"""Values of a chunk of a large batch: on 32 rows of 10⁶ two threads read 32 GB/s in chunks of 2²¹, 29 in
chunks of 2¹⁹, for each of which they must take the interpreter's lock."""

SHARED_FROM = 1 << 21
"""Values from which on threads pay: below, waking one (some 80 µs) takes longer than the work it takes over.
With two cores 2²⁰ values took 118 µs on one thread and 147 on two, 2²¹ 235 and 227, 2²² 503 and 410."""

PATH_READS = 12
"""Three vectors of float64 read and written, in float32 values a column."""

VISITED_WIDTH = 2 * WIDTH
"""Most columns of a chunk whose mean is visited: 256 KiB of float64, still in the second-level cache."""

_local = threading.local()


def _scratch(size: int) -> Vector:
    """Return at least `size` float64 of this thread's own."""
    try:
        vector: Vector = _local.vector
    except AttributeError:
        vector = _local.vector = np.empty(WIDTH)
    if vector.size < size:
        vector = _local.vector = np.empty(size)
    return vector


def _large_chunk(num_values: int) -> int:
    """Return how many of so many values a chunk holds where nothing must be copied."""
    return min(max(num_values // 16, CHUNK), LARGEST_CHUNK)


def chunks(gradients: Gradients, most: int | None = None) -> list[tuple[Part, int, int, int]]:
    """Return (part, start, stop, offset of the part) for each chunk, at most `most` columns wide."""
    large = _large_chunk(gradients.num_rows * gradients.dimension)
    result = []
    offset = 0
    for part in gradients.parts:
        size = CHUNK if part.columns is None and not part.ready else large  # windows that must be copied
        width = max(1, size // (gradients.num_rows * WIDTH)) * WIDTH
        if most is not None:
            width = min(width, most)
        for start in range(0, part.width, width):
            result.append((part, start, min(start + width, part.width), offset))
        offset += part.width
    return result


def measure(
    gradients: Gradients,
    weights: Vector | None = None,
    mean: Vector | None = None,
    visit: Visitor | None = None,
) -> tuple[float, float, list[tuple[float, ...]]]:
    """Return (Σ wᵢ|gᵢ − ḡ|², |ḡ|²) of the rows and what `visit` made of each chunk of ḡ.

    ḡ is written to `mean` (D,), if given; else it never exists as a whole.
    """
    parts = gradients.parts
    if len(parts) == 1 and parts[0].width <= WIDTH:
        return _measure_small(parts[0], weights, mean, visit)

    def one(index: int) -> tuple[float, float, tuple[float, ...]]:
        part, start, stop, offset = pieces[index]
        keep = mean is not None or visit is not None
        total = _scratch(stop - start) if mean is None else mean[offset + start : offset + stop]
        if keep and mean is None:
            total = total[: stop - start]
        spread, norm = _sums(part, start, stop, total, keep, weights)
        visited = () if visit is None else visit(total, offset + start, offset + stop)
        return spread, norm, visited

    pieces = chunks(gradients, None if visit is None else VISITED_WIDTH)
    read = gradients.num_rows + (0 if visit is None else PATH_READS)
    results = _shared(one, len(pieces), read * gradients.dimension)
    spread = norm = 0.0
    for result in results:
        spread += result[0]
        norm += result[1]
    return _not_negative(spread), norm, [result[2] for result in results]


def _measure_small(
    part: Part, weights: Vector | None, mean: Vector | None, visit: Visitor | None
) -> tuple[float, float, list[tuple[float, ...]]]:
    """Do what `measure` does for one chunk, without bookkeeping, which would cost as much as a kernel."""
    width = part.width
    total = _scratch(width)[:width] if mean is None else mean
    spread, norm = _sums(part, 0, width, total, mean is not None or visit is not None, weights)
    return _not_negative(spread), norm, [] if visit is None else [visit(total, 0, width)]


def _not_negative(spread: float) -> float:
    """Return 0 for the −1 ulp that equal rows may leave; nan must stay visible, and `nan < 0` is False."""
    return 0.0 if spread < 0.0 else spread


def _sums(
    part: Part, start: int, stop: int, total: Vector, keep: bool, weights: Vector | None
) -> tuple[float, float]:
    if weights is None and part.columns is not None:
        return kernels.moments.column_order_moments(total, part.columns, start, stop, keep)
    array, low, high = _window(part, start, stop)
    if weights is None:
        return kernels.moments.batch_moments(total, array, low, high, keep)
    return kernels.moments.weighted_moments(total, array, weights, low, high, keep)


def _window(part: Part, start: int, stop: int) -> tuple[Array, int, int]:
    """Do what `Part.window` does; the common case takes no call."""
    return (part.array, start, stop) if part.ready else part.window(start, stop)


def over_columns(
    function: Callable[[Array, int, int, slice], Any], gradients: Gradients, further_reads: int = 0
) -> list[Any]:
    """Return `function`(rows, low, high, here) of each chunk, on as many threads as pay.

    A chunk is the columns `low` to `high` of `rows`, an array in C order that kernels take, and the columns
    `here` of all. `further_reads` says how much memory a column moves beside its rows, in float32 values.
    """

    def one(index: int) -> Any:
        part, start, stop, offset = pieces[index]
        return function(*_window(part, start, stop), slice(offset + start, offset + stop))

    pieces = chunks(gradients)
    return _shared(one, len(pieces), (gradients.num_rows + further_reads) * gradients.dimension)


def over_vector(function: Callable[[slice], T], size: int) -> list[T]:
    """Return `function`(here) of each chunk, a slice, of a D-vector of our own, on as many threads as pay."""
    width = _large_chunk(size) // WIDTH * WIDTH
    pieces = [slice(start, min(start + width, size)) for start in range(0, size, width)]
    return _shared(lambda index: function(pieces[index]), len(pieces), size)


def _shared(task: Callable[[int], T], count: int, num_values: int) -> list[T]:
    """Return what `task` makes of each index, on threads where so many values are enough to pay."""
    if num_values < SHARED_FROM:
        return [task(index) for index in range(count)]
    return threads.run(task, count)


def count_nonfinite(gradients: Gradients) -> int:
    """Return how many values are nan or infinite."""

    def one(rows: Array, low: int, high: int, _: slice) -> int:
        return kernels.moments.count_nonfinite(rows, low, high)

    return sum(over_columns(one, gradients))


def squared_norm(gradients: Gradients) -> float:
    """Return Σ g² over all rows in float64, reading once."""

    def one(rows: Array, low: int, high: int, _: slice) -> float:
        return sum(kernels.moments.sum_squares(row[low:high]) for row in rows)

    return float(sum(over_columns(one, gradients)))


def squared_length(vector: Vector) -> float:
    """Return |v|² of a D-vector of our own in float64."""
    return float(sum(over_vector(lambda here: kernels.moments.sum_squares(vector[here]), vector.size)))


def inner_product(a: Vector, b: Vector) -> float:
    """Return ⟨a, b⟩ of two D-vectors of our own in float64."""
    return float(sum(over_vector(lambda here: kernels.moments.dot(a[here], b[here]), a.size)))
