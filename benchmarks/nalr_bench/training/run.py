"""A model, its optimizer and its data: what a training step is made of."""

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
"""The learning rate of AdamW, its default."""

Batch = tuple["Tensor", "Tensor"]
Criterion = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass
class Run:
    """One training run: batches come again and again."""

    model: Module
    optimizer: Optimizer
    criterion: Criterion
    batches: Iterator[Batch]

    def parameters(self) -> list[Tensor]:
        """Return the model's parameters."""
        return list(self.model.parameters())


@dataclass(frozen=True)
class Setup:
    """How to make a run: each has a model of its own, and all are equal.

    Attributes
    ----------
    model : callable
        Makes a model; its random numbers are the same each time.
    criterion : callable
        Makes the mean loss of a batch: an own one each time, for those who extend it.
    batches : list
        Inputs and targets.
    """

    model: Callable[[], Module]
    criterion: Callable[[], Criterion]
    batches: list[Batch]

    def fresh(self) -> Run:
        """Return a run at its start."""
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = self.model()
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
        return Run(model, optimizer, self.criterion(), itertools.cycle(self.batches))


def random_batches(shape: tuple[int, ...], classes: int, count: int = 4) -> list[Batch]:
    """Return `count` batches of normal inputs of a shape, and a class for each sample."""
    import torch

    random = torch.Generator().manual_seed(1)
    return [
        (torch.randn(shape, generator=random), torch.randint(classes, shape[:1], generator=random))
        for _ in range(count)
    ]


def random_texts(shape: tuple[int, int], letters: int, count: int = 4) -> list[Batch]:
    """Return `count` batches of random texts, and the letter after each of theirs."""
    import torch

    random = torch.Generator().manual_seed(1)
    samples, length = shape
    texts = [torch.randint(letters, (samples, length + 1), generator=random) for _ in range(count)]
    return [(text[:, :-1], text[:, 1:]) for text in texts]


def mlp(widths: tuple[int, ...]) -> Module:
    """Return linear layers of these widths, with ReLU between them."""
    from torch import nn

    layers: list[Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
