"""A two-layer transformer that guesses the next letter of Python's own source text."""

from __future__ import annotations

import importlib
import inspect
import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nalr_bench.race.problems.network import Network, Part

if TYPE_CHECKING:
    from torch import Tensor

Integers = NDArray[np.int64]

WIDTH, CONTEXT, HEADS, LAYERS = 32, 32, 2, 2
MODULES = ("argparse", "difflib", "fractions", "heapq", "statistics", "tarfile", "textwrap")
"""Long ones in pure Python: 400 kB of code and of English in Python 3.11."""
FIRST_LETTER, LETTERS = 31, 96
"""Printable ASCII is 32 to 126; 31 stands for the end of a line, and every other sign becomes a space."""
FULL_WINDOWS = 64


class CharTransformer(Network):
    """Two blocks of attention and of a perceptron, normalised before each, that guess the next letter."""

    name = "char transformer"
    title = "Transformer on Python's source"
    # Its floor, the text's entropy, is unknown but well above 1 nat: this only keeps logarithms finite.
    default_steps = 400
    epsilon = 0.1
    batch_size = 16
    parts = (
        Part((LETTERS, WIDTH), 0.5),
        Part((CONTEXT, WIDTH), 0.5),
        *(
            Part((WIDTH,), offset=1.0),
            Part((WIDTH,)),
            Part((WIDTH, 3 * WIDTH), math.sqrt(1.0 / WIDTH)),
            Part((WIDTH, WIDTH), math.sqrt(0.5 / WIDTH)),
            Part((WIDTH,), offset=1.0),
            Part((WIDTH,)),
            Part((WIDTH, 2 * WIDTH), math.sqrt(2.0 / WIDTH)),
            Part((2 * WIDTH,)),
            Part((2 * WIDTH, WIDTH), math.sqrt(0.25 / WIDTH)),
        )
        * LAYERS,
        Part((WIDTH,), offset=1.0),
        Part((WIDTH, LETTERS), 0.1 * math.sqrt(1.0 / WIDTH)),  # nearly uniform guesses at first
        Part((LETTERS,)),
    )

    def _draw(self) -> tuple[Tensor, Tensor]:
        text = _text()
        return _windows(self._batches.integers(text.size - CONTEXT, size=self.batch_size))

    def _everything(self) -> tuple[Tensor, Tensor]:
        starts = np.random.default_rng(0).integers(_text().size - CONTEXT, size=FULL_WINDOWS)
        return _windows(starts)

    def _logits(self, layers: list[Tensor], inputs: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import embedding

        letters, places, *blocks, gain, last, bias = layers
        groups, samples = inputs.shape[:2]
        shifts = torch.arange(groups)[:, None, None] * LETTERS  # one table under the other
        hidden = embedding(inputs + shifts, letters.flatten(0, 1)) + places[:, None]
        hidden = hidden.reshape(groups, samples * CONTEXT, WIDTH)
        size = len(blocks) // LAYERS
        for first in range(0, len(blocks), size):
            hidden = _block(hidden, blocks[first : first + size])
        return torch.baddbmm(bias[:, None], _normal(hidden, gain), last)


def char_transformer(num_steps: int | None = None) -> CharTransformer:
    """Return the transformer on source text: D = 24 064, 4 rows of 4 windows, 400 steps by default."""
    return CharTransformer(num_steps)


def _block(hidden: Tensor, layers: list[Tensor]) -> Tensor:
    """Return `hidden` (G, N·CONTEXT, WIDTH) after causal attention and a perceptron, each added to it."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    gain, shift, looking, out, other_gain, other_shift, up, up_bias, down = layers
    looks = torch.bmm(_normal(hidden, gain) + shift[:, None], looking)
    query, key, value = looks.view(-1, CONTEXT, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    seen = scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
    hidden = hidden + torch.bmm(seen.reshape(hidden.shape), out)
    inner = torch.baddbmm(up_bias[:, None], _normal(hidden, other_gain) + other_shift[:, None], up).relu()
    return hidden + torch.bmm(inner, down)


def _normal(hidden: Tensor, gain: Tensor) -> Tensor:
    from torch.nn.functional import layer_norm

    return layer_norm(hidden, (WIDTH,)) * gain[:, None]


@lru_cache(maxsize=1)
def _text() -> Integers:
    """Return the letters of `MODULES`, 0 to 95: the same for the same Python."""
    source = "".join(inspect.getsource(importlib.import_module(name)) for name in MODULES)
    letters = np.frombuffer(source.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64)
    letters[letters == ord("\n")] = FIRST_LETTER
    letters[(letters < FIRST_LETTER) | (letters > 126)] = ord(" ")
    return letters - FIRST_LETTER


def _windows(starts: Integers) -> tuple[Tensor, Tensor]:
    """Return the letters from each of `starts`, (N, CONTEXT), and the letters after them."""
    import torch

    windows = torch.from_numpy(_text()[starts[:, None] + np.arange(CONTEXT + 1)])
    return windows[:, :-1], windows[:, 1:]
