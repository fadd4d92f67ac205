"""A character transformer on the source of Python's library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nalr_bench.race.problems.letters import LETTERS, Integers, text, windows
from nalr_bench.race.tasks.task import Samples, Task

if TYPE_CHECKING:
    from torch.nn import Module

WINDOWS = 64
"""In each of the fixed sets."""


@dataclass(frozen=True)
class CharTransformer(Task):
    """Two layers that guess the next letter: 82 000 parameters.

    A context of 32 letters makes a step on one core 8 ms, one of 64 makes it 13 ms.
    """

    width: int = 64
    context: int = 32
    heads: int = 4
    layers: int = 2
    batch_size: int = 16

    name: ClassVar[str] = "transformer"
    title: ClassVar[str] = "Transformer on Python's source"
    epsilon: ClassVar[float] = 0.0  # the text's entropy is far from 0

    def model(self) -> Module:
        """Return a model with torch's own first weights."""
        from nalr_bench.race.tasks.networks import Transformer

        return Transformer(LETTERS, self.context, self.width, self.heads, self.layers)

    def minibatches(self, seed: int) -> Iterator[Samples]:
        """Yield windows from anywhere in the training text."""
        rng, letters = np.random.default_rng([seed, 0]), text().training
        while True:
            yield self._windows(letters, rng.integers(letters.size - self.context, size=self.batch_size))

    def training_set(self) -> Samples:
        """Return 64 windows of the training text."""
        return self._fixed(text().training)

    def held_out(self) -> Samples:
        """Return 64 windows of the held-out text."""
        return self._fixed(text().held_out)

    def _fixed(self, letters: Integers) -> Samples:
        starts = np.random.default_rng(0).integers(letters.size - self.context, size=WINDOWS)
        return self._windows(letters, starts)

    def _windows(self, letters: Integers, starts: Integers) -> Samples:
        return Samples(*windows(letters, starts, self.context))
