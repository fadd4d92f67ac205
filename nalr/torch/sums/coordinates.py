"""Which coordinates of the parameters the path is measured on."""

from __future__ import annotations

from typing import NamedTuple

BLOCK = 16
"""Neighbouring values that are read together from a sampled tensor: 64 bytes of float32, a line of memory.
Not more, since neighbours are alike: with 256, four rows of an embedding, the signal was three times as noisy
(``nalr bench training --only sampling``)."""

RUN = 256
"""Values that are summed in float32 before they join a sum in float64, where a tensor is read whole."""

WHOLE = 1 << 15
"""Values that are read at least: of fewer than twice as many parameters all, of more between this and twice
this. A small transformer of 81 504 ended within 1 % of the same loss with a quarter of them, and within 2 %
with a twelfth. The signal is weaker by the root of the share; a sixteenth of 10³ was too little."""

MOST = 64
"""At least one block of so many is read of any model: the pass is then some tenths of a percent of a step."""

SMALL = 4096
"""Tensors of at most so many values are read whole: biases and gains are few, and unlike the rest."""


class Window(NamedTuple):
    """What is read of one tensor: blocks of `block` values, `stride` apart, `taken` values in all."""

    size: int
    taken: int
    stride: int
    block: int

    @property
    def whole(self) -> bool:
        """Whether every value is read."""
        return self.taken == self.size

    @property
    def weight(self) -> float:
        """What a sum over the window counts for; 1 of a tensor without elements."""
        return self.size / self.taken if self.taken else 1.0


def windows(sizes: list[int], coordinates: int | None = None) -> list[Window]:
    """Return what to read of tensors of these sizes.

    Parameters
    ----------
    sizes : list of int
        Values in each tensor.
    coordinates : int, optional
        How many values to read in all, to a factor of two: at least so many, where there are, and fewer than
        twice as many beside tensors that are read whole. By default `WHOLE`, and at least one block in
        `MOST`.
    """
    total = sum(sizes)
    if coordinates is None:
        every = min(max(total // WHOLE, 1), MOST)
    else:
        every = max(total // coordinates, 1)
    return [_window(size, every) for size in sizes]


def _window(size: int, every: int) -> Window:
    if every == 1 or size <= max(SMALL, every * BLOCK):
        return Window(size, size, RUN, RUN)
    stride = every * BLOCK
    return Window(size, size // stride * BLOCK, stride, BLOCK)
