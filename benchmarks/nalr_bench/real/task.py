"""What is trained: a model, its minibatches, and the fixed sets that judge it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class Samples(NamedTuple):
    """Inputs (N, ...) and the classes to be told of them (N, ...)."""

    inputs: Tensor
    targets: Tensor


class Task(Protocol):
    """A model and its data: a frozen dataclass, so that its `repr` says all that a run depends on."""

    @property
    def name(self) -> str:
        """Its name in tables and options."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""

    @property
    def epsilon(self) -> float:
        """Added to losses before they are compared, so that one of 1e-6 is not a thousand of 1e-3."""

    def model(self) -> Module:
        """Return a model with fresh weights, drawn from torch's generator."""

    def minibatches(self, seed: int) -> Iterator[Samples]:
        """Yield minibatches without end."""

    def training_set(self) -> Samples:
        """Return what the score is taken over: the training set, or a part of it that is always the same."""

    def held_out(self) -> Samples:
        """Return what no minibatch has."""
