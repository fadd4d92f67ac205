"""A small convolutional net on handwritten digits."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from nalr_bench.race.problems.digits import load_digits
from nalr_bench.race.problems.network import Array, Network, Part
from nalr_bench.race.problems.passes import Passes

if TYPE_CHECKING:
    from torch import Tensor


class ConvNet(Network):
    """Two layers of 3 × 3 filters, 8 and 16, with a mean over 2 × 2 between them, on 8 × 8 digits."""

    name = "conv net"
    title = "Convolutions on digits"
    default_steps = 600
    epsilon = 1e-2  # about what the training set's loss comes to with a good rate in 600 steps
    batch_size = 32
    parts = (
        Part((8, 1, 3, 3), math.sqrt(2.0 / 9.0)),
        Part((8,)),
        Part((16, 8, 3, 3), math.sqrt(2.0 / 72.0)),
        Part((16,)),
        Part((256, 10), math.sqrt(1.0 / 256.0)),
        Part((10,)),
    )

    def start(self, seed: int) -> Array:
        """Draw the first weights, and begin the passes over the training images."""
        self._passes = Passes(len(_images()[1]), self.batch_size, seed)
        return super().start(seed)

    def _draw(self) -> tuple[Tensor, Tensor]:
        images, labels = self._everything()
        chosen = self._passes.draw()
        return images[chosen], labels[chosen]

    def _everything(self) -> tuple[Tensor, Tensor]:
        return _images()

    def _logits(self, layers: list[Tensor], inputs: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import avg_pool2d, conv2d

        filters, bias, more_filters, more_bias, last, last_bias = layers
        groups, samples = inputs.shape[:2]
        hidden = inputs.transpose(0, 1)  # a group's images are its channels of one grouped convolution
        hidden = conv2d(hidden, filters.flatten(0, 1), bias.flatten(), padding=1, groups=groups).relu()
        hidden = avg_pool2d(hidden, 2)
        hidden = conv2d(hidden, more_filters.flatten(0, 1), more_bias.flatten(), padding=1, groups=groups)
        hidden = hidden.relu().reshape(samples, groups, -1).transpose(0, 1)
        return torch.baddbmm(last_bias[:, None], hidden, last)


def conv_net(num_steps: int | None = None) -> ConvNet:
    """Return the convolutional network on digits: D = 3818, 4 rows of 8 images, 600 steps by default."""
    return ConvNet(num_steps)


@lru_cache(maxsize=1)
def _images() -> tuple[Tensor, Tensor]:
    import torch

    digits = load_digits()
    images = torch.from_numpy(digits.train_images).float().reshape(-1, 8, 8)
    return images, torch.from_numpy(digits.train_labels)
