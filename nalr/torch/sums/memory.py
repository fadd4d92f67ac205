"""The memory of tensors as kernels take it: flat, in the order in which it lies, without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


def flat(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the values of `tensor` as one axis, in the order in which those of `like` lie in memory.

    A view wherever both lie alike, as gradients do beside their parameters; channels-last weights too.
    """
    if like.is_contiguous():
        return tensor.reshape(-1)
    if not _is_dense(like):
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
