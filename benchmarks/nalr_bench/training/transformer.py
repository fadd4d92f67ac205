"""An ordinary transformer; a module of its own since it imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

HEAD_WIDTH = 64


class Transformer(nn.Module):
    """Letters (B, T) to scores of the next letters, (B, T, letters)."""

    def __init__(self, letters: int, context: int, width: int, num_layers: int) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(num_layers)))
        self.norm, self.scores = nn.LayerNorm(width), nn.Linear(width, letters)

    def forward(self, texts: Tensor) -> Tensor:
        """Return the scores."""
        places = torch.arange(texts.shape[1]).expand_as(texts)
        hidden = self.blocks(self.letters(texts) + self.places(places))
        scores: Tensor = self.scores(self.norm(hidden))
        return scores


class _Block(nn.Module):
    """Causal attention and a perceptron, pre-normalised and residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_heads = max(width // HEAD_WIDTH, 1)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.looks, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        heads = self.looks(self.before(hidden)).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3)
        query, key, value = heads.unbind(2)
        seen = scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.out(seen.transpose(1, 2).flatten(2))
        perceived: Tensor = hidden + self.down(gelu(self.up(self.between(hidden))))
        return perceived


def mean_loss(scores: Tensor, letters: Tensor) -> Tensor:
    """Return the mean cross-entropy over samples and positions."""
    return cross_entropy(scores.flatten(0, 1), letters.flatten())
