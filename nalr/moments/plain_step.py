"""Whether a step was one of plain SGD, judged by its length."""

from __future__ import annotations

from nalr.moments.record import Moments

TOLERANCE = 1e-3
"""A step is plain SGD when |step|² is (η|ḡ|)² to this share; else its own noise is not known."""


def is_plain(moments: Moments, lr: float, squared_norm: float) -> bool:
    """Whether the step that led to `moments`, made with `lr`, is `lr` times a gradient of this |ḡ|²."""
    expected = lr * lr * squared_norm
    return abs(moments.step_squared_norm - expected) <= TOLERANCE * expected
