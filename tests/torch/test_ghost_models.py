"""Of whole models too: tied, shared and repeated layers, checkpointing, autocast, compilation."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nalr.torch.ghost import SampleNorms
from tests.torch.samples import (
    ORACLE_WARNINGS,
    Language,
    Repeated,
    Tied,
    assert_exact,
    convnet,
    observed,
    oracle,
    own_loss,
)

pytestmark = ORACLE_WARNINGS


class Strides(nn.Module):
    """Two convolutions with one kernel, stride and padding their own."""

    def __init__(self):
        super().__init__()
        self.near = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.far = nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2)
        self.far.weight = self.near.weight

    def forward(self, values):
        return torch.cat([self.near(values).flatten(1), self.far(values).flatten(1)], 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_transformer_with_a_tied_head_is_exact(dtype):
    assert_exact(Language(), torch.randint(0, 13, (5, 7)), dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_convnet_is_exact(dtype):
    assert_exact(convnet(), torch.randn(5, 3, 9, 7), dtype)


@pytest.mark.parametrize("shape", [(5, 4), (5, 9, 4)])
def test_recurrence_and_shared_bias_are_exact(shape):
    assert_exact(Repeated(), torch.randn(shape))


def test_a_kernel_shared_by_two_convolutions_is_exact():
    assert_exact(Strides(), torch.randn(3, 4, 6, 7))


def test_a_tied_table_with_padding_is_exact():
    assert_exact(Tied(padding_idx=3), torch.randint(0, 5, (4, 9)))


def test_uses_added_without_cross_terms_are_wrong():
    model, inputs = Repeated().double(), torch.randn(5, 4, dtype=torch.float64)
    seen = []
    for use in range(4):
        fresh = Repeated().double()
        fresh.load_state_dict(model.state_dict())
        cells = [fresh.cell] * 3
        values = inputs
        for step, cell in enumerate([*cells, fresh.other]):
            weight, bias = (
                (cell.weight, cell.bias) if step == use else (cell.weight.detach(), cell.bias.detach())
            )
            values = functional.linear(values, weight, bias)
            values = values if step == 3 else torch.tanh(values)
        gradients = [
            torch.autograd.grad(loss, list(fresh.parameters()), retain_graph=True, allow_unused=True)
            for loss in own_loss(values)
        ]
        seen.append(torch.stack([sum((g**2).sum() for g in row if g is not None) for row in gradients]))
    truth = oracle(model, inputs, ["cell.weight", "cell.bias", "other.weight"])
    assert ((sum(seen) - truth).abs() > 0.1 * truth).any()
    torch.testing.assert_close(observed(model, inputs)[0], truth, rtol=1e-10, atol=0.0)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_changes_nothing(reentrant):
    indices = torch.randint(0, 13, (5, 7))
    plain, recomputed = Language().double(), Language(checkpointed=reentrant).double()
    recomputed.load_state_dict(plain.state_dict())
    expected = observed(plain, indices)[0]
    torch.testing.assert_close(observed(recomputed, indices)[0], expected, rtol=1e-12, atol=0.0)


def test_checkpointing_still_frees_the_inputs_of_layers():
    inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model = Checkpointed(inner)
    alive = []
    inner[2].register_forward_pre_hook(lambda module, args: alive.append(weakref.ref(args[0])))
    with_norms = SampleNorms(model)
    loss = own_loss(model(torch.randn(3, 4, requires_grad=True))).mean()
    assert alive[0]() is None
    loss.backward()
    assert with_norms.collect().squared_norms.shape == (3,)


class Checkpointed(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, values):
        return checkpoint(self.inner, values, use_reentrant=False)


def test_autocast_is_summed_in_float32():
    model, inputs = convnet(), torch.randn(5, 3, 9, 7)
    norms = SampleNorms(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = own_loss(model(inputs).float())
        losses.mean().backward()
    squared = norms.collect().squared_norms
    assert squared.dtype == torch.float32
    # Eight bits of each factor, errors of which are independent.
    torch.testing.assert_close(squared, oracle(model, inputs, norms.covered), rtol=0.1, atol=0.0)


@pytest.mark.slow
# The compiler of torch 2.13 calls it itself.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
# It looks for `.grad` of whatever a hook reads after a graph break.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_model_is_exact():
    model, inputs = (
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double(),
        torch.randn(5, 3).double(),
    )
    norms = SampleNorms(model)
    own_loss(torch.compile(model, backend="aot_eager")(inputs)).mean().backward()
    expected = oracle(model, inputs, norms.covered)
    torch.testing.assert_close(norms.collect().squared_norms, expected, rtol=1e-10, atol=0.0)


def test_below_batch_norm_the_norms_are_those_of_shares():
    """The share of sample i: the gradient of a copy of the weight that sample i alone meets."""
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3, affine=False)).double()
    inputs = torch.randn(6, 4, dtype=torch.float64)
    copies = model[0].weight.detach().expand(6, 3, 4).clone().requires_grad_()
    own_loss(model[1](torch.einsum("ipd,id->ip", copies, inputs))).sum().backward()
    squared, _ = observed(model, inputs)
    torch.testing.assert_close(squared, copies.grad.square().sum((1, 2)), rtol=1e-10, atol=0.0)
