"""Loss smoothing over whole arrays: spike filter, low-pass, exponential moving average.

The same formulas, in the same order of operations, as `nalr.smoothing` and `nalr.butterworth` use for one
loss at a time in pure Python (a call costs less there): strict arithmetic makes the results bit-identical.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import jit

Array = NDArray[np.float64]


@jit
def ema_step(smoothed: float, loss: float, alpha: float) -> float:
    """Return the exponential moving average after `loss`."""
    return alpha * smoothed + (1.0 - alpha) * loss


@jit
def ema(out: Array, losses: Array, alpha: float) -> None:
    """Write the moving average of `losses` (T,), started at the first, to `out` (T,)."""
    smoothed = losses[0]
    for t in range(losses.size):
        if t > 0:
            smoothed = ema_step(smoothed, losses[t], alpha)
        out[t] = smoothed


@jit
def low_pass_start(memory: Array, sections: Array, value: float) -> None:
    """Set `memory` (S, 2) to the steady state of a constant `value`."""
    for i in range(sections.shape[0]):
        memory[i, 0] = value - sections[i, 0] * value
        memory[i, 1] = sections[i, 2] * value - sections[i, 4] * value


@jit
def low_pass_step(memory: Array, sections: Array, value: float) -> float:
    """Return `value` filtered by `sections` (S, 5: b0 b1 b2 a1 a2), transposed direct form II.

    Updates `memory` (S, 2). A result beyond the range of floats starts the filter anew.
    """
    output = value
    for i in range(sections.shape[0]):
        entering = output
        output = sections[i, 0] * entering + memory[i, 0]
        memory[i, 0] = sections[i, 1] * entering - sections[i, 3] * output + memory[i, 1]
        memory[i, 1] = sections[i, 2] * entering - sections[i, 4] * output
    if not math.isfinite(output):
        low_pass_start(memory, sections, value)
        return value
    return output


@jit
def low_pass(out: Array, memory: Array, losses: Array, sections: Array) -> None:
    """Write `losses` (T,) filtered by `sections` (S, 5) to `out` (T,), going on from `memory` (S, 2)."""
    for t in range(losses.size):
        out[t] = low_pass_step(memory, sections, losses[t])


@jit
def middle(ordered: Array, count: int) -> float:
    """Return the median of the first `count` values of `ordered`."""
    half = count // 2
    if count % 2:
        return float(ordered[half])
    return float(0.5 * ordered[half - 1] + 0.5 * ordered[half])


@jit
def insert(ordered: Array, count: int, value: float) -> None:
    """Put `value` in its place among the first `count` values of `ordered`."""
    i = count
    while i > 0 and ordered[i - 1] > value:
        ordered[i] = ordered[i - 1]
        i -= 1
    ordered[i] = value


@jit
def remove(ordered: Array, count: int, value: float) -> None:
    """Take `value` out of the first `count` values of `ordered`."""
    i = 0
    while ordered[i] != value:
        i += 1
    for j in range(i, count - 1):
        ordered[j] = ordered[j + 1]


@jit
def deviations(out: Array, ordered: Array, count: int, median: float) -> None:
    """Write the sorted distances of the first `count` values of `ordered` from their median to `out`.

    Both ends of a sorted list hold the largest distances, so they merge inwards in one pass.
    """
    low, high = 0, count - 1
    for i in range(count - 1, -1, -1):
        below, above = median - ordered[low], ordered[high] - median
        if below > above:
            out[i] = below
            low += 1
        else:
            out[i] = above
            high -= 1


@jit
def spike_step(ordered: Array, scratch: Array, count: int, loss: float, threshold: float) -> float:
    """Return `loss`, or the median of `ordered` where it lies more than `threshold` deviations away."""
    median = middle(ordered, count)
    deviations(scratch, ordered, count, median)
    deviation = middle(scratch, count)
    if deviation > 0.0 and abs(loss - median) > threshold * deviation:
        return median
    return loss


@jit
def spike_filter(
    out: Array, ordered: Array, scratch: Array, losses: Array, threshold: float, fewest: int
) -> None:
    """Write `losses` (T,) without spikes to `out` (T,); Hampel, over the last W losses as they came.

    Works in `ordered` and `scratch` (W,); judges from `fewest` losses on. O(W) a loss.
    """
    window = ordered.size
    for t in range(losses.size):
        if t >= window:
            remove(ordered, window, losses[t - window])
        count = min(t + 1, window)
        insert(ordered, count - 1, losses[t])
        out[t] = losses[t]
        if count >= fewest:
            out[t] = spike_step(ordered, scratch, count, losses[t], threshold)
