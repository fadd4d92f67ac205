"""The model, optimizer and data of a training step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

RATE = 1e-3
"""AdamW's default learning rate."""

Batch = tuple["Tensor", "Tensor"]
Criterion = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass
class Run:
    """One training run; its batches repeat."""

    model: Module
    optimizer: Optimizer
    criterion: Criterion
    batches: Iterator[Batch]

    def parameters(self) -> list[Tensor]:
        """Return the model's parameters."""
        return list(self.model.parameters())


@dataclass(frozen=True)
class Setup:
    """Makers of the model and criterion of a run, and its batches; all runs are equal."""

    model: Callable[[], Module]
    criterion: Callable[[], Criterion]
    batches: list[Batch]

    def fresh(self) -> Run:
        """Return a new run."""
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = self.model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        return Run(model, optimizer, self.criterion(), itertools.cycle(self.batches))


def random_batches(shape: tuple[int, ...], classes: int, count: int = 4) -> list[Batch]:
    """Return `count` batches of normal inputs of a shape and random classes."""
    import torch

    random = torch.Generator().manual_seed(1)
    return [
        (torch.randn(shape, generator=random), torch.randint(classes, shape[:1], generator=random))
        for _ in range(count)
    ]


def random_texts(shape: tuple[int, int], letters: int, count: int = 4) -> list[Batch]:
    """Return `count` batches of random texts and their next letters."""
    import torch

    random = torch.Generator().manual_seed(1)
    samples, length = shape
    texts = [torch.randint(letters, (samples, length + 1), generator=random) for _ in range(count)]
    return [(text[:, :-1], text[:, 1:]) for text in texts]


def mlp(widths: tuple[int, ...]) -> Module:
    """Return linear layers of these widths with ReLU between them."""
    from torch import nn

    layers: list[Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
