"""The models, as anybody would write them.

The one module of the bench that imports torch at its top: its classes need it to exist. Only functions
import this module, so that all else works without torch.
"""

from __future__ import annotations

from torch import Tensor, arange, nn
from torch.nn.functional import scaled_dot_product_attention


class Block(nn.Module):
    """Causal attention and a perceptron twice as wide, each normalised before and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.looking = nn.Linear(width, 3 * width)
        self.seen = nn.Linear(width, width)
        self.before_perceptron = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (N, context, width) for (N, context, width)."""
        looks = self.looking(self.before_attention(hidden))
        query, key, value = looks.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.seen(seen.transpose(1, 2).flatten(2))
        added: Tensor = self.perceptron(self.before_perceptron(hidden))
        return hidden + added


class Transformer(nn.Module):
    """Letters and their places, embedded; blocks; a last normalisation; logits of the next letter."""

    def __init__(self, letters: int, context: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.letters = nn.Embedding(letters, width)
        self.places = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, letters))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (N, context, letters) for letters (N, context)."""
        hidden = self.letters(inputs) + self.places(arange(inputs.shape[1]))
        logits: Tensor = self.last(self.blocks(hidden))
        return logits


def convolutions(channels: int, classes: int) -> nn.Module:
    """Return two layers of 3 × 3 filters, a mean over 2 × 2 between them, for images (N, 1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * channels * 16, classes),
    )
