"""Convolutions: a linear map of each window t of the padded input, so Gᵢ = Σₜ bₜaₜᵀ as for a linear layer."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import TypeAlias, cast

from torch import Tensor, nn
from torch.nn import functional

from nalr.torch.ghost.layer import Layer, channel_bias
from nalr.torch.ghost.uses import Outer

Convolution: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed: TypeAlias = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def _pad(layer: Convolution | Transposed, values: Tensor, mode: str) -> Tensor:
    """Pad as the layer does: `functional.pad` wants the last axis first."""
    pads: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):
        if isinstance(layer.padding, str):
            total = layer.dilation[axis] * (layer.kernel_size[axis] - 1) if layer.padding == "same" else 0
            pads += [total // 2, total - total // 2]
        else:
            pads += [layer.padding[axis]] * 2
    return functional.pad(values, pads, mode="constant" if mode == "zeros" else mode)


def _windows(layer: Convolution | Transposed, padded: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Return the windows (B, groups, T, n) that the kernel meets, `counts` of them along each axis."""
    axes = len(layer.kernel_size)
    view = padded
    for axis in range(axes):
        dilation = layer.dilation[axis]
        span = dilation * (layer.kernel_size[axis] - 1) + 1
        view = view.unfold(2 + axis, span, layer.stride[axis]).narrow(2 + axis, 0, counts[axis])
        view = view[..., ::dilation]
    samples, channels = padded.shape[:2]
    view = view.reshape(samples, layer.groups, channels // layer.groups, *view.shape[2:])
    places, kernel = range(3, 3 + axes), range(3 + axes, 3 + 2 * axes)
    return view.permute(0, 1, *places, 2, *kernel).reshape(samples, layer.groups, prod(counts), -1)


def _places(layer: Convolution | Transposed, values: Tensor) -> Tensor:
    """Return channels at every place, (B, groups, T, p)."""
    return values.reshape(len(values), layer.groups, values.shape[1] // layer.groups, -1).mT


def _expand(layer: Convolution, inputs: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
    padded = _pad(layer, inputs, layer.padding_mode)
    return _places(layer, grads), _windows(layer, padded, tuple(grads.shape[2:]))


def _expand_transposed(layer: Transposed, inputs: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
    """Swap the two: the output's gradient is read in windows, each of which made one place of the input's."""
    padded = _pad(layer, grads, "zeros")
    return _places(layer, inputs), _windows(layer, padded, tuple(inputs.shape[2:]))


def _weight(module: nn.Module, inputs: Tensor, grads: Tensor) -> Outer:
    layer = cast(Convolution, module)
    kernel = prod(layer.kernel_size)
    shape = layer.out_channels // layer.groups, layer.in_channels // layer.groups * kernel
    return Outer(inputs, grads, prod(grads.shape[2:]), layer.groups, shape, partial(_expand, layer))


def _transposed_weight(module: nn.Module, inputs: Tensor, grads: Tensor) -> Outer:
    layer = cast(Transposed, module)
    kernel = prod(layer.kernel_size)
    shape = layer.in_channels // layer.groups, layer.out_channels // layer.groups * kernel
    return Outer(
        inputs, grads, prod(inputs.shape[2:]), layer.groups, shape, partial(_expand_transposed, layer)
    )


def _kind(module: nn.Module, name: str) -> tuple[str, int] | str:
    """Tell block-diagonal weights apart; stride, dilation and padding may differ between uses."""
    layer = cast(Convolution, module)
    return (type(layer).__name__, layer.groups) if name == "weight" else "vector"


def _convolution(axes: int) -> Layer:
    return Layer({"weight": _weight, "bias": channel_bias}, lambda module: 2 + axes, _kind)


def _transposed(axes: int) -> Layer:
    return Layer({"weight": _transposed_weight, "bias": channel_bias}, lambda module: 2 + axes, _kind)


LAYERS: dict[type[nn.Module], Layer] = {
    nn.Conv1d: _convolution(1),
    nn.Conv2d: _convolution(2),
    nn.Conv3d: _convolution(3),
    nn.ConvTranspose1d: _transposed(1),
    nn.ConvTranspose2d: _transposed(2),
    nn.ConvTranspose3d: _transposed(3),
}
