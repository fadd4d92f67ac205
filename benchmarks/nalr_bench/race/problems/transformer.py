"""A two-layer transformer that guesses the next letter of Python's own source text."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nalr_bench.race.problems.letters import LETTERS, Integers, modules, windows
from nalr_bench.race.problems.network import Network, Part

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, CONTEXT, HEADS, LAYERS = 32, 32, 2, 2
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
        return windows(text, self._batches.integers(text.size - CONTEXT, size=self.batch_size), CONTEXT)

    def _everything(self) -> tuple[Tensor, Tensor]:
        starts = np.random.default_rng(0).integers(_text().size - CONTEXT, size=FULL_WINDOWS)
        return windows(_text(), starts, CONTEXT)

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
    return np.concatenate(modules())
