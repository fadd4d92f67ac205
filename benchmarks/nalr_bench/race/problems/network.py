"""A small network of torch as a problem: one vector of parameters, a gradient row per microbatch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nalr import _checks

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

MICROBATCHES = 4


class Part(NamedTuple):
    """A layer's share of the parameters: its shape, and its first values, offset + scale·N(0, 1)."""

    shape: tuple[int, ...]
    scale: float = 0.0
    offset: float = 0.0


class Network:
    """What the networks share: parameters as one vector, and one forward pass for all microbatches.

    A gradient row for each of G microbatches takes no G backward passes: each group of samples gets a copy
    of the parameters of its own, a row of (G, D), and one backward pass to the copies gives all rows. At
    these sizes that takes a third of the time of a loop, most of which torch spends between operations.
    """

    name: str
    title: str
    default_steps: int
    epsilon: float
    batch_size: int
    parts: tuple[Part, ...]

    def __init__(self, num_steps: int | None = None) -> None:
        self.num_steps = self.default_steps if num_steps is None else _checks.count("num_steps", num_steps, 1)

    def start(self, seed: int) -> Array:
        """Draw the first weights, and begin the stream of minibatches."""
        self._batches = np.random.default_rng([seed, 0])
        weights = np.random.default_rng([seed, 1])
        sizes = [math.prod(part.shape) for part in self.parts]
        return np.concatenate(
            [
                part.offset + part.scale * weights.standard_normal(size)
                for part, size in zip(self.parts, sizes, strict=True)
            ]
        )

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw a minibatch: its mean loss, and a gradient row for each of its four microbatches."""
        import torch

        with _one_thread():
            copies = torch.from_numpy(params).float().repeat(MICROBATCHES, 1).requires_grad_()
            loss = self._loss(copies, *self._draw())
            (rows,) = torch.autograd.grad(loss, copies)
            # The loss is the mean over all samples: a copy's gradient lacks the factor of its own mean.
            return loss.item(), rows.double().mul_(MICROBATCHES).numpy()

    def full_loss(self, params: Array) -> float:
        """Return the mean loss over the training set, or over a sample that is the same for every seed."""
        import torch

        with _one_thread(), torch.no_grad():
            return float(self._loss(torch.from_numpy(params).float()[None], *self._everything()))

    def metrics(self, params: Array) -> dict[str, float]:
        """Return nothing: the loss is what matters here."""
        return {}

    def solved(self, params: Array) -> bool | None:
        """Return None: a fit is better or worse, not right or wrong."""
        return None

    def _loss(self, copies: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats, each copy having the same number of samples in turn."""
        from torch.nn.functional import cross_entropy

        sizes = [math.prod(part.shape) for part in self.parts]
        layers = [
            piece.reshape(len(copies), *part.shape)
            for piece, part in zip(copies.split_with_sizes(sizes, dim=1), self.parts, strict=True)
        ]
        logits = self._logits(layers, inputs.reshape(len(copies), -1, *inputs.shape[1:]))
        return cross_entropy(logits.flatten(0, -2), targets.flatten())

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Return the next minibatch's inputs and targets."""
        raise NotImplementedError

    def _everything(self) -> tuple[Tensor, Tensor]:
        """Return what the full loss is taken over."""
        raise NotImplementedError

    def _logits(self, layers: list[Tensor], inputs: Tensor) -> Tensor:
        """Return (G, samples, classes) from layers (G, ...) and inputs (G, samples, ...)."""
        raise NotImplementedError


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: more are slower at these sizes, and may sum in another order."""
    import torch

    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)
