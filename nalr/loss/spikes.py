"""Hampel's spike filter: a loss far from the median of the latest ones is replaced by that median."""

from __future__ import annotations

SPIKE_THRESHOLD = 3.0 * 1.4826
"""Hampel's three sigmas, in median absolute deviations (1.4826 of which are one sigma of a Gaussian)."""


def without_spike(recent: list[float], loss: float, window: int) -> float:
    """Append `loss` to the `window` most `recent` losses; return it, or their median if it is a spike."""
    recent.append(loss)
    if len(recent) > window:
        del recent[0]
    if len(recent) < fewest(window):
        return loss
    median = _median(recent)
    deviation = _median([abs(value - median) for value in recent])
    is_spike = deviation > 0.0 and abs(loss - median) > SPIKE_THRESHOLD * deviation
    return median if is_spike else loss


def fewest(window: int) -> int:
    """Return how many losses the filter needs before it replaces any: more than half of the window."""
    return max(3, window // 2 + 1)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return 0.5 * ordered[half - 1] + 0.5 * ordered[half]  # halved first: the sum might not be finite
