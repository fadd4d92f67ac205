"""Normalisation within a sample: gain and shift see the normalised input x̂, so gᵢ = Σₜ bₜ∘x̂ₜ and Σₜ bₜ."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from nalr.torch.ghost.layer import Layer, channel_bias
from nalr.torch.ghost.uses import Rows, exact


def _trailing(values: Tensor, shape: Sequence[int]) -> Rows:
    """Sum over all places before the axes that were normalised."""
    return Rows(values.reshape(len(values), -1, prod(shape)).sum(1))


def _layer_gain(module: nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    layer = cast(nn.LayerNorm, module)
    normalized = functional.layer_norm(exact(inputs), layer.normalized_shape, eps=layer.eps)
    return _trailing(normalized * grads, layer.normalized_shape)


def _layer_shift(module: nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    return _trailing(exact(grads), cast(nn.LayerNorm, module).normalized_shape)


def _root_mean_square_gain(module: nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    layer = cast("nn.RMSNorm", module)
    # Without an `eps` the layer takes that of its input's type, which a longer type would change.
    values = inputs if layer.eps is None else exact(inputs)
    normalized = functional.rms_norm(values, layer.normalized_shape, eps=layer.eps)
    return _trailing(exact(normalized) * grads, layer.normalized_shape)


def _group_gain(module: nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    layer = cast(nn.GroupNorm, module)
    normalized = functional.group_norm(exact(inputs), layer.num_groups, eps=layer.eps)
    return channel_bias(module, inputs, normalized * grads)


def _instance_gain(module: nn.Module, inputs: Tensor, grads: Tensor) -> Rows:
    normalized = functional.instance_norm(exact(inputs), eps=cast(nn.InstanceNorm1d, module).eps)
    return channel_bias(module, inputs, normalized * grads)


def _instance_refusal(module: nn.Module) -> str | None:
    tracked = cast(nn.InstanceNorm1d, module).track_running_stats
    return "its running statistics come from other batches" if tracked else None


def _normalized_axes(module: nn.Module) -> int:
    return 1 + len(cast(nn.LayerNorm, module).normalized_shape)


def _vector(module: nn.Module, name: str) -> str:
    return "vector"


def _instance(axes: int) -> Layer:
    rules = {"weight": _instance_gain, "bias": channel_bias}
    return Layer(rules, lambda module: axes, _vector, _instance_refusal)


LAYERS: dict[type[nn.Module], Layer] = {
    nn.LayerNorm: Layer({"weight": _layer_gain, "bias": _layer_shift}, _normalized_axes, _vector),
    nn.GroupNorm: Layer({"weight": _group_gain, "bias": channel_bias}, lambda module: 2, _vector),
    nn.InstanceNorm1d: _instance(3),
    nn.InstanceNorm2d: _instance(4),
    nn.InstanceNorm3d: _instance(5),
}
if hasattr(nn, "RMSNorm"):  # torch 2.4
    LAYERS[nn.RMSNorm] = Layer({"weight": _root_mean_square_gain}, _normalized_axes, _vector)
