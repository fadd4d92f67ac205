"""States as `torch.load(weights_only=True)` reads them: numbers, strings, lists, dicts and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

ARRAY = "nalr.array"
"""The only key of a dict that holds a NumPy array as a tensor."""


def portable(state: Any) -> Any:
    """Return `state` with arrays as tensors, numbers of NumPy as Python's, and tuples as lists."""
    if isinstance(state, Mapping):
        return {str(key): portable(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [portable(value) for value in state]
    if isinstance(state, np.ndarray):
        return {ARRAY: torch.from_numpy(state.copy())}
    if isinstance(state, np.generic):
        return state.item()
    return state


def restored(state: Any) -> Any:
    """Return what `portable` was given, but for tuples."""
    if isinstance(state, Mapping):
        if set(state) == {ARRAY}:
            return state[ARRAY].cpu().numpy().copy()
        return {key: restored(value) for key, value in state.items()}
    if isinstance(state, list):
        return [restored(value) for value in state]
    return state
