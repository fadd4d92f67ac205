"""A small convolutional net on scikit-learn's handwritten digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from nalr_bench.race.problems.digits import CLASSES, load_digits
from nalr_bench.race.problems.passes import Passes
from nalr_bench.race.tasks.task import Samples, Task

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class ConvNet(Task):
    """Two layers of filters, 8 and 16 of them: 3818 parameters."""

    channels: int = 8
    batch_size: int = 32

    name: ClassVar[str] = "conv-net"
    title: ClassVar[str] = "Convolutions on digits"
    epsilon: ClassVar[float] = 1e-2  # good rates end near 0, where a ratio would compare rounding

    def model(self) -> Module:
        """Return a model with torch's own first weights."""
        from nalr_bench.race.tasks.networks import convolutions

        return convolutions(self.channels, CLASSES)

    def minibatches(self, seed: int) -> Iterator[Samples]:
        """Yield from shuffled passes over the training images."""
        images, labels = self.training_set()
        passes = Passes(len(labels), self.batch_size, seed)
        while True:
            chosen = passes.draw()
            yield Samples(images[chosen], labels[chosen])

    def training_set(self) -> Samples:
        """Return all 1437 training images."""
        digits = load_digits()
        return _samples(digits.train_images, digits.train_labels)

    def held_out(self) -> Samples:
        """Return the 360 test images."""
        digits = load_digits()
        return _samples(digits.test_images, digits.test_labels)


def _samples(images: NDArray[Any], labels: NDArray[Any]) -> Samples:
    import torch

    return Samples(torch.from_numpy(images).float().reshape(-1, 1, 8, 8), torch.from_numpy(labels))
