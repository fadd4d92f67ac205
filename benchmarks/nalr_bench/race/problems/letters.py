"""The source of Python's own library as a text of small numbers: a data set that everybody has."""

from __future__ import annotations

import importlib
import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Integers = NDArray[np.int64]

MODULES = ("argparse", "difflib", "fractions", "heapq", "statistics", "tarfile", "textwrap")
"""Long ones in pure Python: 400 kB of code and of English in Python 3.11."""
FIRST_LETTER, LETTERS = 31, 96
"""Printable ASCII is 32 to 126; 31 stands for the end of a line, and every other sign becomes a space."""
HELD_OUT = 0.1
"""Share of each module, its end, that is not trained on."""


class Text(NamedTuple):
    """Letters, 0 to 95."""

    training: Integers
    held_out: Integers


@lru_cache(maxsize=1)
def text() -> Text:
    """Return the letters of `MODULES`: the same for the same Python.

    Examples
    --------
    >>> training, held_out = text()
    >>> 0 <= training.min() and held_out.max() < LETTERS and held_out.size < training.size / 8
    True
    """
    training, held_out = [], []
    for letters in modules():
        cut = round((1.0 - HELD_OUT) * letters.size)
        training.append(letters[:cut])
        held_out.append(letters[cut:])
    return Text(np.concatenate(training), np.concatenate(held_out))


@lru_cache(maxsize=1)
def modules() -> tuple[Integers, ...]:
    """Return the letters of each of `MODULES`, 0 to 95."""
    return tuple(_numbers(inspect.getsource(importlib.import_module(name))) for name in MODULES)


def windows(letters: Integers, starts: Integers, context: int) -> tuple[Tensor, Tensor]:
    """Return `context` letters from each of `starts` (N,), as (N, context), and the letters after each."""
    import torch

    found = torch.from_numpy(letters[starts[:, None] + np.arange(context + 1)])
    return found[:, :-1], found[:, 1:]


def _numbers(source: str) -> Integers:
    letters = np.frombuffer(source.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64)
    letters[letters == ord("\n")] = FIRST_LETTER
    letters[(letters < FIRST_LETTER) | (letters > 126)] = ord(" ")
    return letters - FIRST_LETTER
