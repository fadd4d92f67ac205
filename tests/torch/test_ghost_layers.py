"""Of every layer, norms of samples from one backward equal those of gradients taken sample by sample."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.torch.samples import (
    ORACLE_WARNINGS,
    Tied,
    assert_exact,
    convnet,
    observed,
    oracle,
    own_loss,
)

pytestmark = [
    ORACLE_WARNINGS,
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning"),
]

LAYERS = {
    "linear": (nn.Linear(5, 3), (7, 5)),
    "linear, one output": (nn.Linear(5, 1), (7, 5)),
    "linear, few places": (nn.Linear(9, 11), (7, 3, 9)),
    "linear, many places": (nn.Linear(3, 2, bias=False), (7, 23, 3)),
    "linear, two axes of places": (nn.Linear(3, 5), (4, 3, 5, 3)),
    "linear, one sample": (nn.Linear(3, 5), (1, 4, 3)),
    "conv1d": (nn.Conv1d(3, 5, 3), (4, 3, 11)),
    "conv1d, same, even kernel": (nn.Conv1d(3, 5, 4, padding="same", dilation=3), (4, 3, 11)),
    "conv1d, circular": (nn.Conv1d(4, 6, 3, padding=2, padding_mode="circular", groups=2), (4, 4, 9)),
    "conv1d, same, reflect": (nn.Conv1d(4, 6, 4, padding="same", padding_mode="reflect"), (4, 4, 9)),
    "conv2d": (nn.Conv2d(3, 5, (3, 2), stride=(2, 3), padding=(1, 2), dilation=(1, 2)), (4, 3, 9, 10)),
    "conv2d, grouped": (nn.Conv2d(6, 9, 3, groups=3, padding=1), (5, 6, 4, 5)),
    "conv2d, depthwise": (nn.Conv2d(4, 8, 3, groups=4, stride=2), (3, 4, 7, 8)),
    "conv2d, valid": (nn.Conv2d(2, 3, 3, padding="valid", bias=False), (3, 2, 5, 5)),
    "conv2d, replicate": (nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), (3, 2, 5, 4)),
    "conv2d, wide and short": (nn.Conv2d(16, 24, 3), (3, 16, 4, 4)),
    "conv3d": (nn.Conv3d(2, 3, (2, 3, 1), stride=(1, 2, 2), padding=(1, 0, 0)), (3, 2, 4, 7, 5)),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, groups=2), (3, 4, 5)),
    "transposed 2d": (
        nn.ConvTranspose2d(3, 2, (2, 3), stride=2, dilation=(3, 1), output_padding=(2, 1)),
        (3, 3, 4, 3),
    ),
    "transposed 3d": (nn.ConvTranspose3d(2, 3, 2), (3, 2, 2, 3, 2)),
    "layer norm": (nn.LayerNorm(6), (5, 6)),
    "layer norm, two axes": (nn.LayerNorm((3, 4), eps=1e-3), (5, 2, 3, 4)),
    "group norm": (nn.GroupNorm(2, 6), (5, 6, 3, 2)),
    "instance norm": (nn.InstanceNorm1d(3, affine=True), (5, 3, 7)),
}


if hasattr(nn, "RMSNorm"):
    LAYERS |= {
        "rms norm": (nn.RMSNorm(6), (5, 4, 6)),
        "rms norm, eps": (nn.RMSNorm((2, 3), eps=0.1), (5, 2, 3)),
    }


def randomized(layer):
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_equals_sample_by_sample(name, dtype):
    layer, shape = LAYERS[name]
    assert_exact(randomized(layer), torch.randn(shape, dtype=torch.float64), dtype)


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("shape", [(6,), (6, 9), (6, 2, 4)])
def test_embedding_adds_up_rows_that_a_sample_took_more_than_once(shape, padding):
    indices = torch.randint(0, 4, shape)
    assert_exact(randomized(nn.Embedding(4, 3, padding_idx=padding)), indices)


@pytest.mark.parametrize("places", [2, 40])
def test_small_blocks_change_nothing(places, monkeypatch):
    monkeypatch.setattr("nalr.torch.ghost.uses.BLOCK", 50)
    assert_exact(nn.Linear(7, 11), torch.randn(5, places, 7))
    assert_exact(nn.Conv2d(4, 6, 3, groups=2), torch.randn(5, 4, 5, places + 1))
    assert_exact(Tied(width=5), torch.randint(0, 11, (4, places)))


def test_in_place_activation_after_a_linear_layer_with_places():
    """Its output is a view, whose hooks an in-place operation drops."""
    assert_exact(nn.Sequential(nn.Linear(3, 6), nn.ReLU(inplace=True)), torch.randn(5, 4, 3))


def test_sum_loss_needs_no_factor():
    model, inputs = convnet().double(), torch.randn(5, 3, 9, 7, dtype=torch.float64)
    by_sum, by_mean = observed(model, inputs, "sum")[0], observed(model, inputs)[0]
    torch.testing.assert_close(by_sum, by_mean, rtol=1e-12, atol=0.0)


def test_product_of_norms_is_wrong_over_places():
    layer, inputs = nn.Linear(3, 2, bias=False).double(), torch.randn(5, 6, 3, dtype=torch.float64)
    outputs = layer(inputs)
    outputs.retain_grad()
    own_loss(outputs).sum().backward()
    biased = (inputs.square().sum(2) * outputs.grad.square().sum(2)).sum(1)
    truth = oracle(layer, inputs, ["weight"])
    assert ((biased - truth).abs() > 0.1 * truth).any()
    torch.testing.assert_close(observed(layer, inputs)[0], truth, rtol=1e-10, atol=0.0)


def test_bfloat16_norms_do_not_overflow_or_round_in_bfloat16():
    layer = nn.Linear(300, 200).bfloat16()
    inputs = torch.randn(4, 300).bfloat16()
    squared, names = observed(layer, inputs, "sum")
    outputs = layer(inputs).detach().requires_grad_()
    own_loss(outputs).sum().backward()
    exact = outputs.grad.double().square().sum(1) * (inputs.double().square().sum(1) + 1)
    torch.testing.assert_close(squared.double(), exact, rtol=1e-5, atol=0.0)
