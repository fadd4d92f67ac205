"""The path of any optimizer over a sample of coordinates, read in place from parameters and gradients.

The sample is `block` neighbouring values out of every `stride`: neighbours because memory comes in lines,
all over the tensor because rows of a weight differ. With `block` equal to `stride` it is the whole tensor.
Sums are over the sample; multiply by the ratio of sizes for those of the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import reassociating
from nalr.kernels._wide import wide

Array = NDArray[Any]


@reassociating
def advance_sample(
    displacement: Array,
    mean_displacement: Array,
    previous: Array,
    last_gradient: Array,
    params: Array,
    gradient: Array,
    stride: int,
    block: int,
    keep: float,
    decay: float,
) -> tuple[float, float, float, float, float, float]:
    """Advance the path of the sample (S,) by the new parameters; keep both as last.

    Returns ⟨g, step⟩, |step|², ⟨g, (d + d̄)/2⟩, |d|², ⟨g, g before⟩, |g|². The path is kept in its own type;
    products are of float64, since squares of float32 leave its range from 10¹⁹ on and below 10⁻¹⁹. Slices of
    a block let the compiler check once that nothing overlaps; indices into the whole do not vectorise.
    """
    number = previous.dtype.type
    kept, decayed, one = number(keep), number(decay), number(1.0)
    fade, fresh = kept * decayed, one - decayed
    products, squares, signals, lengths, lags, norms = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for first in range(0, displacement.size, block):
        stop = min(first + block, displacement.size)
        base = first // block * stride
        d, m = displacement[first:stop], mean_displacement[first:stop]
        before, gradient_before = previous[first:stop], last_gradient[first:stop]
        x, g = params[base : base + stop - first], gradient[base : base + stop - first]
        for i in range(d.size):
            place, slope = number(wide(x[i])), number(wide(g[i]))
            step = before[i] - place
            travelled = kept * d[i] + step
            average = fade * m[i] + fresh * travelled
            exact, moved, far = np.float64(slope), np.float64(step), np.float64(travelled)
            products += exact * moved
            squares += moved * moved
            signals += exact * (0.5 * (far + np.float64(average)))
            lengths += far * far
            lags += exact * np.float64(gradient_before[i])
            norms += exact * exact
            d[i], m[i], before[i], gradient_before[i] = travelled, average, place, slope
    return products, squares, signals, lengths, lags, norms


def advance_samples(
    samples: Sequence[tuple[Any, ...]],
) -> list[tuple[float, float, float, float, float, float]]:
    """Advance the paths of several tensors, each given by the arguments of `advance_sample`."""
    return [advance_sample(*sample) for sample in samples]


@reassociating
def sample_norm(gradient: Array, stride: int, block: int, size: int) -> float:
    """Return |g|² over the first `size` values of the sample, in float64."""
    norms = 0.0
    for first in range(0, size, block):
        base = first // block * stride
        g = gradient[base : base + min(block, size - first)]
        norm = 0.0
        for i in range(g.size):
            exact = np.float64(wide(g[i]))
            norm += exact * exact
        norms += norm
    return norms
