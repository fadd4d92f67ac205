"""Tensors and plain values in nested containers: mapped, copied into buffers, written back in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Tree = Any
"""Tensors, numbers, strings and None in dictionaries, lists and tuples."""


def mapped(function: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """Return `tree` with `function` of each tensor in its place."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: mapped(function, value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([mapped(function, value) for value in tree])
    return tree


def copied(tree: Tree, buffer: Tree, device: torch.device | None) -> Tree:
    """Return a copy of `tree`, its tensors in those of `buffer`, an earlier copy, where they fit."""
    if isinstance(tree, Tensor):
        place = tree.device if device is None else device
        if not (_fits(buffer, tree) and _is_at(buffer, place)):
            pinned = tree.is_cuda and place.type == "cpu"
            buffer = torch.empty_like(tree, device=place, pin_memory=pinned, requires_grad=False)
        return buffer.copy_(tree, non_blocking=tree.is_cuda)  # the caller waits for transfers to the host
    if isinstance(tree, dict):
        return {key: copied(value, _child(buffer, key), device) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)([copied(value, _child(buffer, i), device) for i, value in enumerate(tree)])
    return tree


def write(target: Tree, saved: Tree, homes: Tree) -> Tree:
    """Return what `saved` holds, in the tensors, dictionaries and lists of `target` where they fit."""
    if isinstance(saved, Tensor):
        if _fits(target, saved):
            return target.copy_(saved, non_blocking=target.is_cuda)
        return saved.to(homes, copy=True)
    if isinstance(saved, dict):
        entries = {key: write(_child(target, key), value, homes[key]) for key, value in saved.items()}
        if not isinstance(target, dict):
            return entries
        target.clear()
        target.update(entries)
        return target
    if isinstance(saved, (list, tuple)):
        values = [write(_child(target, i), value, homes[i]) for i, value in enumerate(saved)]
        if not isinstance(target, list) or not isinstance(saved, list):
            return type(saved)(values)
        target[:] = values
        return target
    return saved


def _child(tree: Tree, key: Any) -> Tree:
    """Return the entry of a container, or None where there is none."""
    if isinstance(tree, dict):
        return tree.get(key)
    if isinstance(tree, (list, tuple)) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return None


def _fits(value: Any, like: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == like.shape and value.dtype == like.dtype


def _is_at(tensor: Tensor, place: torch.device) -> bool:
    return tensor.device.type == place.type and place.index in (None, tensor.device.index)


def is_plain(tree: Tree) -> bool:
    """Return whether `tree` is one, with containers and numbers of Python's own types at its leaves."""
    if isinstance(tree, dict):
        return all(map(is_plain, tree.values()))
    if isinstance(tree, (list, tuple)):
        return type(tree) in (list, tuple) and all(map(is_plain, tree))
    return tree is None or isinstance(tree, (Tensor, str)) or type(tree) in (bool, int, float, complex)
