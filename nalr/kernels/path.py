"""The path of the parameters, advanced in one pass: displacement from the start and its running mean.

With s the step just made and d = x₀ − x, a pass does d ← keep·d + s, d̄ ← keep·λ d̄ + (1 − λ) d, and
returns the four sums that the policy needs of it. One loop reads each vector once: separate dot products
would read them twice, and ⟨g, x₀⟩ − ⟨g, x⟩ taken apart loses a tenth of its value in float32 early in a run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import reassociating
from nalr.kernels._wide import wide

Array = NDArray[Any]


@reassociating
def advance_by_gradient(
    displacement: Array,
    mean_displacement: Array,
    previous: Array,
    gradient: Array,
    lr: float,
    keep: float,
    decay: float,
) -> tuple[float, float, float, float, float]:
    """Advance the path of plain SGD, whose last step was `lr` · `previous`; keep `gradient` as previous.

    Returns ⟨g, step⟩, |step|², ⟨g, (d + d̄)/2⟩, |d|², ⟨g, previous⟩.
    """
    product = 0.0
    squared = 0.0
    signal = 0.0
    length = 0.0
    fade = keep * decay
    for j in range(gradient.size):
        displacement[j] = keep * displacement[j] + lr * previous[j]
        mean_displacement[j] = fade * mean_displacement[j] + (1.0 - decay) * displacement[j]
        product += gradient[j] * previous[j]
        squared += previous[j] * previous[j]
        signal += gradient[j] * 0.5 * (displacement[j] + mean_displacement[j])
        length += displacement[j] * displacement[j]
        previous[j] = gradient[j]
    return lr * product, lr * lr * squared, signal, length, product


@reassociating
def advance_by_parameters(
    displacement: Array,
    mean_displacement: Array,
    previous: Array,
    params: Array,
    gradient: Array,
    keep: float,
    decay: float,
) -> tuple[float, float, float, float]:
    """Advance the path of any optimizer by its new parameters; keep `params` as previous.

    Returns ⟨g, step⟩, |step|², ⟨g, (d + d̄)/2⟩, |d|².
    """
    product = 0.0
    squared = 0.0
    signal = 0.0
    length = 0.0
    fade = keep * decay
    for j in range(gradient.size):
        place = np.float64(wide(params[j]))
        step = previous[j] - place
        displacement[j] = keep * displacement[j] + step
        mean_displacement[j] = fade * mean_displacement[j] + (1.0 - decay) * displacement[j]
        product += gradient[j] * step
        squared += step * step
        signal += gradient[j] * 0.5 * (displacement[j] + mean_displacement[j])
        length += displacement[j] * displacement[j]
        previous[j] = place
    return product, squared, signal, length
