"""What one use of a parameter adds to every sample's gradient, kept as factors until its norm is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor

BLOCK = 1 << 22
"""Numbers in the largest temporary array: 16 MiB of float32, for which a full GPU still has room."""


def exact(tensor: Tensor) -> Tensor:
    """Return `tensor` in the type that norms are summed in: float64, or float32 for all that is shorter."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@dataclass(frozen=True, slots=True)
class Rows:
    """Gradients of a parameter that is small enough to hold one for each sample, such as a bias."""

    values: Tensor  # (B, n)


@dataclass(frozen=True, slots=True)
class Outer:
    """Gradients Gᵢ = Σₜ bₜaₜᵀ of a matrix that meets the inputs aₜ at `length` places of each sample."""

    inputs: Tensor
    grads: Tensor
    length: int
    groups: int  # blocks of a block-diagonal matrix, as a grouped convolution has them
    shape: tuple[int, int]  # of one block of Gᵢ
    expand: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """From inputs and grads of some samples to b (B, groups, length, p) and a (B, groups, length, d)."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Gradients Gᵢ = Σₜ eₖbₜᵀ of a table from which each sample took the rows k = indices[i, t]."""

    indices: Tensor  # (B, T)
    grads: Tensor  # (B, T, d)


Use: TypeAlias = Rows | Outer | Lookup


def squared_norms(uses: Sequence[Use]) -> Tensor:
    """Return |Gᵢ|² (B,) of a parameter's whole gradient: the sum over its `uses`, cross terms included.

    Uses of one kind are joined along their places, for a sum over uses is a sum over more places; only a
    table that is also a matrix (tied embeddings) needs a product between two kinds.
    """
    rows = [use for use in uses if isinstance(use, Rows)]
    outers = [use for use in uses if isinstance(use, Outer)]
    lookups = [use for use in uses if isinstance(use, Lookup)]
    terms = []
    if rows:
        terms.append(_total(exact(row.values) for row in rows).square().sum(1))
    if outers:
        terms.append(_outer(outers))
    if lookups:
        terms.append(_lookup(lookups))
    if outers and lookups:
        terms.append(2 * _total(_cross(outer, lookup) for outer in outers for lookup in lookups))
    return _total(terms)


def _total(terms: Iterator[Tensor] | list[Tensor]) -> Tensor:
    return cast(Tensor, sum(terms))


def _chunks(samples: int, numbers: int) -> Iterator[slice]:
    """Cut the samples so that an array of so many `numbers` for each stays within a block."""
    size = max(1, BLOCK // max(1, numbers))
    return (slice(start, start + size) for start in range(0, samples, size))


def _outer(uses: list[Outer]) -> Tensor:
    """Take |Σₜ bₜaₜᵀ|² as Σₜₛ⟨aₜ,aₛ⟩⟨bₜ,bₛ⟩ or by forming the sum, whichever is fewer flops."""
    length = sum(use.length for use in uses)
    groups, (rows, columns) = uses[0].groups, uses[0].shape
    gram = length * (rows + columns) <= rows * columns
    widest = max(length * (rows + columns), length * length if gram else 0)
    norms = []
    for chunk in _chunks(len(uses[0].grads), groups * widest):
        factors = [use.expand(exact(use.inputs[chunk]), exact(use.grads[chunk])) for use in uses]
        left, right = (
            torch.cat(parts, 2) if len(uses) > 1 else parts[0] for parts in zip(*factors, strict=True)
        )
        if length == 1:
            norms.append((left.square().sum((2, 3)) * right.square().sum((2, 3))).sum(1))
        elif gram:
            norms.append(((left @ left.mT) * (right @ right.mT)).sum((1, 2, 3)))
        else:
            norms.append(_formed(left, right))
    return torch.cat(norms)


def _formed(left: Tensor, right: Tensor) -> Tensor:
    """Form the gradients leftᵀ·right of some samples, a block of their rows at a time."""
    per_row = right.shape[1] * right.shape[3]
    norms = []
    for chunk in _chunks(len(left), per_row * left.shape[3]):
        width = max(1, BLOCK // per_row)
        parts = torch.split(left[chunk], width, 3)
        norms.append(_total([(part.mT @ right[chunk]).square().sum((1, 2, 3)) for part in parts]))
    return torch.cat(norms)


def _lookup(uses: list[Lookup]) -> Tensor:
    """Add up, within each sample, the gradients of places that took the same row: O(T) by sorting."""
    indices, order = torch.cat([use.indices for use in uses], 1).sort(1)
    grads = torch.cat([use.grads for use in uses], 1)
    samples, length, width = grads.shape
    changes = torch.zeros_like(indices)
    changes[:, 1:] = indices[:, 1:] != indices[:, :-1]
    slots = changes.cumsum(1)
    norms = []
    for chunk in _chunks(samples, length * width):
        ordered = exact(grads[chunk]).gather(1, order[chunk, :, None].expand(-1, -1, width))
        starts = length * torch.arange(len(ordered), device=slots.device)
        places = (slots[chunk] + starts[:, None]).flatten()
        sums = torch.zeros_like(ordered).flatten(0, 1).index_add_(0, places, ordered.flatten(0, 1))
        norms.append(sums.view(len(ordered), -1).square().sum(1))
    return torch.cat(norms)


def _cross(outer: Outer, lookup: Lookup) -> Tensor:
    """Return ⟨Σₜ bₜaₜᵀ, Σₛ eₖcₛᵀ⟩ = Σₜₛ bₜ[k]⟨aₜ,cₛ⟩, with k = indices[i, s]."""
    places = lookup.indices.shape[1]
    widest = max(outer.length * (places + sum(outer.shape)), places * outer.shape[1])
    norms = []
    for chunk in _chunks(len(outer.grads), widest):
        left, right = outer.expand(exact(outer.inputs[chunk]), exact(outer.grads[chunk]))
        rows = lookup.indices[chunk, None, :].expand(-1, outer.length, -1)
        chosen = left.squeeze(1).gather(2, rows)
        norms.append((chosen * (right.squeeze(1) @ exact(lookup.grads[chunk]).mT)).sum((1, 2)))
    return torch.cat(norms)
