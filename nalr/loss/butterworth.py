"""Butterworth low-pass design as second-order sections, and the section's recursion for one value.

Not from SciPy, which is no dependency. Sections, not one polynomial: a direct form of order 8 at a cutoff of
.01 has poles so close to 1 that rounding its coefficients makes it unstable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Section = tuple[float, float, float, float, float]
"""b0, b1, b2, a1, a2 of (b0 + b1/z + b2/z²) / (1 + a1/z + a2/z²); gain 1 at zero frequency."""


def low_pass_sections(order: int, cutoff: float) -> list[Section]:
    """Return the sections of a low-pass filter whose gain is 1/√2 at `cutoff` cycles per step.

    The analog prototype has its poles on the left half of the unit circle, at angles π(2k+1)/(2·order)
    from the imaginary axis: pairs with s² + 2 sin(angle) s + 1, and s + 1 alone when `order` is odd. The
    bilinear transform s = (z-1)/(z+1)/K, K = tan(π·cutoff), puts the cutoff exactly at `cutoff`.
    Butterworth (1930); Oppenheim & Schafer, Discrete-Time Signal Processing, chapter 7.
    """
    stretch = math.tan(math.pi * cutoff)
    sections = []
    for k in range(order // 2):
        damping = 2.0 * math.sin(math.pi * (2 * k + 1) / (2 * order))
        scale = 1.0 + damping * stretch + stretch * stretch
        a1 = 2.0 * (stretch * stretch - 1.0) / scale
        a2 = (1.0 - damping * stretch + stretch * stretch) / scale
        # The gain is taken from the *rounded* a1 and a2, not as K²/scale: then a constant passes exactly,
        # where at a cutoff of 1e-4 it would come out wrong in the ninth digit.
        b0 = (1.0 + a1 + a2) / 4.0
        sections.append((b0, 2.0 * b0, b0, a1, a2))
    if order % 2:
        a1 = (stretch - 1.0) / (stretch + 1.0)
        b0 = (1.0 + a1) / 2.0
        sections.append((b0, b0, 0.0, a1, 0.0))
    return sections


def low_pass_delay(order: int, cutoff: float) -> float:
    """Return the group delay at zero frequency, in steps: by how much a slow trend lags.

    Each pair adds damping/(2K); the sum over the sections of 2 sin(angle) is 1/sin(π/(2·order)).
    """
    return 1.0 / (2.0 * math.tan(math.pi * cutoff) * math.sin(math.pi / (2 * order)))


def steady_state(sections: Sequence[Section], value: float) -> list[float]:
    """Return the memory, two numbers a section, of a filter with constant input `value`."""
    memory: list[float] = []
    for b0, _, b2, _, a2 in sections:
        memory += [value - b0 * value, b2 * value - a2 * value]
    return memory


def low_pass_step(memory: list[float], sections: Sequence[Section], value: float) -> float:
    """Pass `value` through the sections (transposed direct form II), updating `memory`.

    If the result overflows, the filter restarts at `value`: inf would stay.
    """
    output = value
    for i, (b0, b1, b2, a1, a2) in enumerate(sections):
        entering = output
        output = b0 * entering + memory[2 * i]
        memory[2 * i] = b1 * entering - a1 * output + memory[2 * i + 1]
        memory[2 * i + 1] = b2 * entering - a2 * output
    if not -math.inf < output < math.inf:
        memory[:] = steady_state(sections, value)
        return value
    return output
