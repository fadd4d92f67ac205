"""Loss smoothing over whole arrays: spike filter, low-pass, exponential moving average.

The same formulas, in the same order of operations, as `nalr.loss.smoother` and `nalr.loss.butterworth` use
for one loss at a time in pure Python (a call costs less there): strict arithmetic makes the results
bit-identical.
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


BLOCK = 1024
"""Losses that a group of sections takes before the next group: 8 KiB, which stay in the first-level cache."""

GROUP = 4
"""Sections taken together: what fits in registers."""

Section = tuple[float, float, float, float, float]


@jit
def low_pass_start(memory: Array, sections: Array, value: float) -> None:
    """Set `memory` (S, 2) to the steady state of a constant `value`."""
    for i in range(sections.shape[0]):
        memory[i, 0] = value - sections[i, 0] * value
        memory[i, 1] = sections[i, 2] * value - sections[i, 4] * value


@jit
def section_of(sections: Array, i: int) -> Section:
    """Return b0 b1 b2 a1 a2 of section `i`, or of the last where there are fewer."""
    i = min(i, sections.shape[0] - 1)
    return sections[i, 0], sections[i, 1], sections[i, 2], sections[i, 3], sections[i, 4]


@jit
def section_step(value: float, first: float, second: float, section: Section) -> tuple[float, float, float]:
    """Return `value` filtered by one section, transposed direct form II, and its two new memories."""
    b0, b1, b2, a1, a2 = section
    output = b0 * value + first
    return output, b1 * value - a1 * output + second, b2 * value - a2 * output


@jit
def low_pass_step(memory: Array, sections: Array, value: float) -> float:
    """Return `value` filtered by `sections` (S, 5: b0 b1 b2 a1 a2); update `memory` (S, 2).

    A result beyond the range of floats starts the filter anew.
    """
    output = value
    for i in range(sections.shape[0]):
        output, memory[i, 0], memory[i, 1] = section_step(
            output, memory[i, 0], memory[i, 1], section_of(sections, i)
        )
    if not math.isfinite(output):
        low_pass_start(memory, sections, value)
        return value
    return output


@jit
def low_pass_group(
    out: Array, memory: Array, losses: Array, sections: Array, average: float, alpha: float, last: bool
) -> float:
    """Write `losses` (T,) filtered by up to four `sections`, if `last` also averaged, to `out` (T,).

    Updates `memory`; returns the average. `out` may be `losses`. A section must wait for its own last result
    (four operations, 3 ns), but not for the section or the average after it: with the memories in registers
    a processor works on all of them at once, and four sections and the average take little longer than one
    section. Through `memory` each would wait until its last store can be read, which trebles the time.
    """
    count = sections.shape[0]
    section0, section1 = section_of(sections, 0), section_of(sections, 1)
    section2, section3 = section_of(sections, 2), section_of(sections, 3)
    state = np.zeros((GROUP, 2))  # the first memories are a b c d below, the second e f g h
    state[:count] = memory
    a, b, c, d = state[0, 0], state[1, 0], state[2, 0], state[3, 0]
    e, f, g, h = state[0, 1], state[1, 1], state[2, 1], state[3, 1]
    for t in range(losses.size):
        value, a, e = section_step(losses[t], a, e, section0)
        if count > 1:
            value, b, f = section_step(value, b, f, section1)
        if count > 2:
            value, c, g = section_step(value, c, g, section2)
        if count > 3:
            value, d, h = section_step(value, d, h, section3)
        if last:
            average = value = ema_step(average, value, alpha)
        out[t] = value
    state[0, 0], state[1, 0], state[2, 0], state[3, 0] = a, b, c, d
    state[0, 1], state[1, 1], state[2, 1], state[3, 1] = e, f, g, h
    memory[:] = state[:count]
    return average


@jit
def low_pass_block(
    out: Array, memory: Array, losses: Array, sections: Array, average: float, alpha: float
) -> float:
    """Do what `low_pass_group` does, with any number of `sections`."""
    for i in range(0, sections.shape[0], GROUP):
        rest = i + GROUP
        source = losses if i == 0 else out
        average = low_pass_group(
            out, memory[i:rest], source, sections[i:rest], average, alpha, rest >= sections.shape[0]
        )
    return average


@jit
def low_pass(out: Array, memory: Array, losses: Array, sections: Array, alpha: float) -> None:
    """Write the moving average of `losses` (T,) filtered by `sections` (S, 5) to `out` (T,).

    Goes on from `memory` (S, 2); the average starts at the first result, and `alpha` 0 leaves the results as
    they are. A block with a result beyond the range of floats is done again, starting anew at that loss.
    """
    average = low_pass_step(memory, sections, losses[0])
    out[0] = average
    saved = np.empty_like(memory)
    for start in range(1, losses.size, BLOCK):
        smoothed, source = out[start : start + BLOCK], losses[start : start + BLOCK]
        saved[:] = memory
        after = low_pass_block(smoothed, memory, source, sections, average, alpha)
        if math.isfinite(after):  # nan or inf stays in the average
            average = after
            continue
        memory[:] = saved
        for t in range(source.size):
            average = ema_step(average, low_pass_step(memory, sections, source[t]), alpha)
            smoothed[t] = average


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
def replace(ordered: Array, old: float, value: float) -> None:
    """Put `value` into the sorted `ordered` (W,) for `old`.

    Every place is written, by minimum and maximum alone: places cannot be foreseen, and a search that ends
    early costs more in mispredicted branches than it saves.
    """
    last = ordered.size - 1
    before = -np.inf
    for i in range(last):
        kept = ordered[i] if ordered[i] < old else ordered[i + 1]
        ordered[i] = max(before, min(kept, value))
        before = kept
    ordered[last] = max(before, value)


@jit
def nearest(ordered: Array, count: int, median: float, rank: int) -> float:
    """Return the `rank`-th smallest distance from `median` of the first `count` values of `ordered`.

    The values within it are neighbours in the sorted list, so it is the least half-width that `rank`
    neighbours need.
    """
    distance = np.inf
    for i in range(count - rank + 1):
        distance = min(distance, max(median - ordered[i], ordered[i + rank - 1] - median))
    return distance


@jit
def spread(ordered: Array, count: int, median: float) -> float:
    """Return the median distance from `median` of the first `count` values of `ordered`."""
    half = count // 2
    upper = nearest(ordered, count, median, half + 1)
    if count % 2:
        return upper
    return 0.5 * nearest(ordered, count, median, half) + 0.5 * upper


@jit
def spike_step(ordered: Array, count: int, loss: float, threshold: float) -> float:
    """Return `loss`, or the median of `ordered` where it lies more than `threshold` deviations away."""
    median = middle(ordered, count)
    deviation = spread(ordered, count, median)
    if deviation > 0.0 and abs(loss - median) > threshold * deviation:
        return median
    return loss


@jit
def spike_filter(out: Array, ordered: Array, losses: Array, threshold: float, fewest: int) -> None:
    """Write `losses` (T,) without spikes to `out` (T,); Hampel, over the last W losses as received.

    Works in `ordered` (W,); replaces from `fewest` losses on. O(W) a loss.
    """
    window = ordered.size
    for t in range(losses.size):
        count = min(t + 1, window)
        if t < window:
            insert(ordered, t, losses[t])
        else:
            replace(ordered, losses[t - window], losses[t])
        out[t] = losses[t]
        if count >= fewest:
            out[t] = spike_step(ordered, count, losses[t], threshold)
