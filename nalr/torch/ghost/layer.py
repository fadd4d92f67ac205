"""What the rules of a layer family say, one record for each class of `torch.nn`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from nalr.torch.ghost.uses import Rows, Use, exact

Rule: TypeAlias = Callable[[torch.nn.Module, Tensor, Tensor], Use]
"""From a layer, its input and the gradient of its output to what one of its parameters received."""


class Layer(NamedTuple):
    """The rules of one class of layers.

    Attributes
    ----------
    rules : mapping of str to Rule
        By the parameter's name in the layer. The rule of a `"bias"` reads the output's gradient only.
    axes : callable
        Least number of axes of a layer's input that has a sample axis.
    kind : callable
        What a parameter's uses can be added to: equal kinds may share a parameter.
    refusal : callable
        Why this layer in particular cannot be covered, or None.
    suspicion : callable
        Why an input of the first pass, of the right length, still does not look like one of samples, or None.
    """

    rules: Mapping[str, Rule]
    axes: Callable[[torch.nn.Module], int]
    kind: Callable[[torch.nn.Module, str], Hashable]
    refusal: Callable[[torch.nn.Module], str | None] = lambda module: None
    suspicion: Callable[[Tensor], str | None] = lambda inputs: None


def last_axis_bias(module: torch.nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    """Sum over all places between the sample axis and the features."""
    return Rows(exact(grads).reshape(len(grads), -1, grads.shape[-1]).sum(1))


def channel_bias(module: torch.nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    """Sum over all places after the channels, which are axis 1."""
    return Rows(exact(grads).reshape(*grads.shape[:2], -1).sum(2))
