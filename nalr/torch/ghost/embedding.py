"""Embeddings: a sample's gradient has rows only where it looked them up."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nalr.torch.ghost.layer import Layer
from nalr.torch.ghost.uses import Lookup


def _weight(module: nn.Module, inputs: Tensor, grads: Tensor) -> Lookup:
    padding = cast(nn.Embedding, module).padding_idx
    if padding is not None:
        grads = grads.masked_fill((inputs == padding).unsqueeze(-1), 0.0)
    return Lookup(inputs.reshape(len(inputs), -1).long(), grads.reshape(len(grads), -1, grads.shape[-1]))


def _refusal(module: nn.Module) -> str | None:
    embedding = cast(nn.Embedding, module)
    if embedding.sparse:
        return "its gradient is sparse"
    if embedding.scale_grad_by_freq:
        return "`scale_grad_by_freq` scales by counts over the whole batch"
    return None


def _suspicion(inputs: Tensor) -> str | None:
    """Recognise 0, 1, …, T − 1: positions, looked up once for the whole batch rather than by sample."""
    if inputs.dim() == 1 and len(inputs) > 1 and inputs.equal(torch.arange(len(inputs)).to(inputs)):
        return "looks up 0, 1, 2, … once for all samples"
    return None


LAYERS: dict[type[nn.Module], Layer] = {
    nn.Embedding: Layer(
        {"weight": _weight}, lambda module: 1, lambda module, name: "matrix", _refusal, _suspicion
    )
}
