"""One direction in parameter space: flat or in pieces, of NumPy or of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

V = TypeVar("V", NDArray[Any], Tensor, list[Tensor])
"""What a product takes and gives back: a flat array, a flat tensor, or a list of tensors."""


def parameter_list(params: Iterable[Tensor]) -> list[Tensor]:
    """Return `params` as a list of distinct leaves that require gradients."""
    if isinstance(params, (Tensor, torch.nn.Module)):
        raise TypeError(
            f"`params` must be an iterable of tensors, got {type(params).__name__}. "
            "Pass `model.parameters()` or a list."
        )
    parameters = list(params)
    if not parameters:
        raise ValueError("`params` must hold at least one tensor, got none.")
    for i, parameter in enumerate(parameters):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"`params` must hold tensors, got {type(parameter).__name__} at {i}.")
        shape = tuple(parameter.shape)
        if not parameter.dtype.is_floating_point:
            raise TypeError(f"`params` must be real floating point, got {parameter.dtype} at {i}.")
        if not parameter.requires_grad:
            raise ValueError(
                f"`params` must all require gradients, got one of shape {shape} at {i} that does not. "
                "Leave it out, or call its `requires_grad_()` first."
            )
        if not parameter.is_leaf:
            raise ValueError(f"`params` must be leaves, got the result of an operation, {shape}, at {i}.")
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise ValueError("`params` must name each tensor once, got one of them twice.")
    return parameters


def split(vector: NDArray[Any] | Tensor | Sequence[Tensor], parameters: list[Tensor]) -> list[Tensor]:
    """Return `vector` as tensors like `parameters` in shape, dtype and device."""
    if isinstance(vector, (list, tuple)):
        return _like(vector, parameters)
    if isinstance(vector, np.ndarray):
        flat = torch.from_numpy(np.array(vector, dtype=np.float64))  # a copy: the input may be read-only
    elif isinstance(vector, Tensor):
        flat = vector.detach()
    else:
        raise TypeError(
            f"`vector` must be an array, a tensor or a list of tensors, got {type(vector).__name__}."
        )
    dim = sum(parameter.numel() for parameter in parameters)
    if flat.shape != (dim,):
        raise ValueError(
            f"`vector` must have shape ({dim},), one entry per parameter, got {tuple(flat.shape)}."
        )
    pieces = torch.split(flat, [parameter.numel() for parameter in parameters])
    return [
        piece.to(device=parameter.device, dtype=parameter.dtype).view(parameter.shape)
        for piece, parameter in zip(pieces, parameters, strict=True)
    ]


def join(pieces: list[Tensor], vector: V) -> V:
    """Return `pieces` as the kind of thing that `vector` is; a flat array in float64."""
    if isinstance(vector, (list, tuple)):
        return pieces
    if isinstance(vector, np.ndarray):
        return np.concatenate([piece.detach().reshape(-1).cpu().double().numpy() for piece in pieces])
    return torch.cat(
        [piece.detach().reshape(-1).to(device=vector.device, dtype=vector.dtype) for piece in pieces]
    )


def _like(vector: Sequence[Tensor], parameters: list[Tensor]) -> list[Tensor]:
    shapes = [tuple(parameter.shape) for parameter in parameters]
    given = [tuple(np.shape(piece)) for piece in vector]
    if given != shapes:
        raise ValueError(f"`vector` must hold tensors of shapes {shapes}, got {given}.")
    return [
        piece.detach().to(device=parameter.device, dtype=parameter.dtype)
        for piece, parameter in zip(vector, parameters, strict=True)
    ]
