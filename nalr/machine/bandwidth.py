"""Memory bandwidth: the limit of every pass over gradients."""

from __future__ import annotations

import statistics
import time

import numpy as np

from nalr import _checks
from nalr.arrays import threads

REPEATS = 7


def read_bandwidth(num_bytes: int, num_threads: int) -> float:
    """Return the GB (10⁹ bytes) per second at which a plain sum reads float32.

    Parameters
    ----------
    num_bytes : int
        At least 4; well above the last-level cache (256 MB, say) to measure memory.
    num_threads : int
        From 1 to `nalr.get_num_threads()`.

    Returns
    -------
    float
        Median of seven readings after a warm-up.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> read_bandwidth(1 << 20, 1) > 0.0
    True
    """
    from nalr.kernels.bandwidth import read_sum

    size = _checks.count("num_bytes", num_bytes, 4) // 4
    limit = threads.get_num_threads()
    if _checks.count("num_threads", num_threads, 1) > limit:
        raise ValueError(f"`num_threads` must be at most {limit}, the threads in use, got {num_threads!r}.")
    pieces = np.array_split(np.ones(size, np.float32), num_threads)  # written, so that its pages exist
    seconds = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        threads.run(lambda index: read_sum(pieces[index]), num_threads)
        seconds.append(time.perf_counter() - began)
    return 4e-9 * size / statistics.median(seconds[1:])
