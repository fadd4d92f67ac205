"""A task: a network to train, its minibatches, and the fixed sets that judge it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


class Samples(NamedTuple):
    """Inputs (N, ...) and their classes (N, ...)."""

    inputs: Tensor
    targets: Tensor


class Task:
    """Base class of tasks: frozen dataclasses, whose `repr` tells what a run depends on but code and rate.

    Attributes
    ----------
    name, title : str
        For tables and options, and in a few words.
    epsilon : float
        Added to losses before they are compared, so that one of 1e-6 is not a thousandth of one of 1e-3.
    default_steps : int
        Length of a run.
    natural_rates : dict of str to float
        The rates natural to the optimizers that train it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    epsilon: ClassVar[float]
    group: ClassVar[str] = "tasks"
    family: ClassVar[str] = "network"
    default_steps: ClassVar[int] = 1000
    natural_rates: ClassVar[dict[str, float]] = {"adamw": 0.1, "momentum": 1.0}

    def natural(self, optimizer: str) -> float:
        """Return the rate natural to `optimizer`: b = 1."""
        return self.natural_rates[optimizer]

    def base_lr(self, optimizer: str, factor: float) -> float:
        """Return the base rate that is `factor` times the natural one, to three digits."""
        return float(f"{factor * self.natural(optimizer):.3g}")

    @property
    def module(self) -> str:
        """Return the module whose code is the task."""
        return type(self).__module__

    @property
    def settings(self) -> tuple[Any, ...]:
        """Return what a run depends on besides code and rate."""
        return (repr(self),)

    def model(self) -> Module:
        """Return a model with fresh weights, drawn from torch's generator."""
        raise NotImplementedError

    def minibatches(self, seed: int) -> Iterator[Samples]:
        """Yield minibatches without end."""
        raise NotImplementedError

    def training_set(self) -> Samples:
        """Return what the score is taken over: the training set, or a part of it that is always the same.

        Raises
        ------
        ImportError
            If torch or the data are not installed.
        """
        raise NotImplementedError

    def held_out(self) -> Samples:
        """Return samples that no minibatch has."""
        raise NotImplementedError
