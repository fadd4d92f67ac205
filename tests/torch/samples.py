"""Gradients taken sample by sample, what the norms of samples are compared with, and models for both."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nalr.torch.ghost import SampleNorms

ORACLE_WARNINGS = pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
"""`vmap` warns of some layers; it runs in the comparison only."""

RELATIVE = {dtype: 2000 * torch.finfo(dtype).eps for dtype in (torch.float64, torch.float32)}
"""As many roundings as the longest sums below have terms."""


def own_loss(outputs):
    """Nonlinear in the outputs, and different at every place of a sample."""
    weights = torch.linspace(0.5, 1.5, outputs[0].numel(), dtype=outputs.dtype).view(outputs.shape[1:])
    return (torch.sin(outputs) * weights + 0.3 * outputs**2).flatten(1).sum(1)


def oracle(model, inputs, names, **options):
    """Σ over `names` of |gᵢ|², each gᵢ from a pass with one sample only."""
    parameters = {k: p.detach() for k, p in model.named_parameters()}

    def loss(values, sample):
        return own_loss(functional_call(model, values, (sample[None],), **options)).sum()

    gradients = vmap(grad(loss), in_dims=(None, 0), randomness="error")(parameters, inputs)
    return sum(gradients[name].flatten(1).square().sum(1) for name in names)


def observed(model, inputs, reduction="mean"):
    norms = SampleNorms(model, reduction=reduction)
    losses = own_loss(model(inputs))
    (losses.mean() if reduction == "mean" else losses.sum()).backward()
    result = norms.collect().squared_norms
    names = norms.covered
    norms.close()
    return result, names


def assert_exact(model, inputs, dtype=torch.float64):
    model = model.to(dtype)
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    squared, names = observed(model, inputs)
    assert set(names) == {name for name, _ in model.named_parameters()}
    assert squared.shape == (len(inputs),)
    torch.testing.assert_close(squared, oracle(model, inputs, names), rtol=RELATIVE[dtype], atol=0.0)


class Tied(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self, words=11, width=6, padding_idx=None):
        super().__init__()
        self.embedding = nn.Embedding(words, width, padding_idx=padding_idx)
        self.inner = nn.Linear(width, width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, indices):
        return self.head(torch.tanh(self.inner(self.embedding(indices))))


class Block(nn.Module):
    """Attention and two linear layers, as in every transformer."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.after = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, values):
        samples, length, width = values.shape
        parts = self.project(self.before(values)).view(samples, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        values = values + self.out(attended.transpose(1, 2).reshape(samples, length, width))
        return values + self.down(functional.gelu(self.up(self.after(values))))


class Language(Tied):
    def __init__(self, words=13, width=6, length=7, checkpointed=None):
        super().__init__(words, width)
        self.positions = nn.Embedding(length, width)
        self.inner = nn.ModuleList([Block(width, 2), Block(width, 2)])
        self.norm = nn.LayerNorm(width)
        self.checkpointed = checkpointed

    def forward(self, indices):
        places = torch.arange(indices.shape[1]).expand_as(indices)
        values = self.embedding(indices) + self.positions(places)
        for block in self.inner:
            if self.checkpointed is None:
                values = block(values)
            else:
                values = checkpoint(block, values, use_reentrant=self.checkpointed)
        return self.head(self.norm(values))


class Repeated(nn.Module):
    """One layer for every step of a recurrence, and one bias for two layers."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.other.bias = self.cell.bias

    def forward(self, values):
        for _ in range(3):
            values = torch.tanh(self.cell(values))
        return self.other(values)


def convnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding="same", padding_mode="circular", groups=4),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 5),
    )
