"""Whether a step was plain SGD's, x ← x − ηḡ: the sums of a step show it."""

from __future__ import annotations

from nalr.moments.record import Moments

TOLERANCE = 1e-3
"""Relative difference in squared length up to which a step counts as plain SGD's."""


def is_plain_step(moments: Moments, squared_length: float) -> bool:
    """Return whether the step that led to `moments` is as long as ηḡ, of which `squared_length` is |ηḡ|².

    ḡ is the gradient at the start of the step. Only then is its noise in the step known: E⟨ḡ, s⟩ = η|G|² +
    η tr Σ/B, so that the slope at the start of the step, and with it the curvature along it, is known without
    bias. A step of another optimizer may be as long by chance. False where either length is nan.
    """
    return abs(moments.step_squared_norm - squared_length) <= TOLERANCE * squared_length
