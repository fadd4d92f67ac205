"""Flat views of tensors, in the order in which their values lie, and sums over the part that is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nalr import kernels
from nalr.torch.sums.coordinates import Window

Array = NDArray[Any]


def flat(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the values of `tensor` as one axis, in the order in which those of `like` lie in memory.

    A view wherever both lie alike, as gradients do beside their parameters; channels-last weights too.
    """
    if like.is_contiguous() or not _is_dense(like):
        return tensor.reshape(-1)
    if tensor.stride() != like.stride():
        tensor = torch.empty_strided(
            like.size(), like.stride(), dtype=tensor.dtype, device=tensor.device
        ).copy_(tensor)
    return tensor.as_strided((tensor.numel(),), (1,))


def _is_dense(tensor: Tensor) -> bool:
    """Whether the values fill a stretch of memory without gaps or overlaps, in whatever order of axes."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def as_numpy(values: Tensor) -> Array:
    """Return the memory of a flat tensor on the CPU; 16-bit floats as integers, as kernels take them."""
    if values.dtype is torch.bfloat16:
        return values.view(torch.int16).numpy()
    array: Array = values.numpy()
    return array.view(np.uint16) if values.dtype is torch.float16 else array


def gradient_arrays(parameters: Sequence[Tensor]) -> list[Array | None]:
    """Return the memory of the gradient of each parameter on the CPU; None where there is no gradient."""
    return [None if p.grad is None else as_numpy(flat(p.grad.detach(), p)) for p in parameters]


def window_of(values: Tensor, window: Window) -> Tensor:
    """Return the window's values of a flat tensor, (taken,)."""
    if window.whole:
        return values
    count = window.taken // window.block
    return values[: count * window.stride].view(count, window.stride)[:, : window.block].reshape(-1)


def sampled_norm(values: Tensor, like: Tensor, window: Window, by_kernel: bool) -> float | Tensor:
    """Return |values|² of a tensor that lies like `like`, estimated from its window.

    It is nan where the tensor has another size than the window was made for.
    """
    if values.numel() != window.size:
        return math.nan
    line = flat(values.detach(), like)
    if by_kernel:
        norm: float = kernels.sample.sample_norm(as_numpy(line), window.stride, window.block, window.taken)
        return window.weight * norm if not math.isnan(norm) else math.nan
    part = window_of(line, window).to(wide(line))
    return window.weight * torch.sum(part * part)


def sampled_total(values: Tensor, like: Tensor, window: Window) -> Tensor:
    """Return the sum of the values of a tensor that lies like `like`, estimated from its window.

    It is nan where the tensor has another size than the window was made for.
    """
    if values.numel() != window.size:
        return torch.full((), math.nan, dtype=wide(values), device=values.device)
    part = window_of(flat(values.detach(), like), window)
    return window.weight * torch.sum(part, dtype=wide(part))


def wide(values: Tensor) -> torch.dtype:
    """Return the type to sum in: float64 wherever the device has it."""
    return torch.float32 if values.device.type == "mps" else torch.float64
