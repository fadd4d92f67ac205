"""Norms of per-sample gradients from one backward equal those of gradients taken sample by sample."""

from __future__ import annotations

import copy
import gc
import io
import weakref
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nalr.torch.ghost import SampleNorms

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning"),
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),  # vmap's, in the oracle
]
RELATIVE = {dtype: 2000 * torch.finfo(dtype).eps for dtype in (torch.float64, torch.float32)}
"""As many roundings as the longest sums below have terms."""


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for matrices of this size others only wait
    torch.manual_seed(20260801)
    yield
    torch.set_num_threads(threads)


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


class Strides(nn.Module):
    """Two convolutions with one kernel, stride and padding their own."""

    def __init__(self):
        super().__init__()
        self.near = nn.Conv2d(4, 6, 3, padding=1, groups=2)
        self.far = nn.Conv2d(4, 6, 3, stride=2, dilation=2, groups=2)
        self.far.weight = self.near.weight

    def forward(self, values):
        return torch.cat([self.near(values).flatten(1), self.far(values).flatten(1)], 1)


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
    tempting = (inputs.square().sum(2) * outputs.grad.square().sum(2)).sum(1)
    truth = oracle(layer, inputs, ["weight"])
    assert ((tempting - truth).abs() > 0.1 * truth).any()
    torch.testing.assert_close(observed(layer, inputs)[0], truth, rtol=1e-10, atol=0.0)


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


def test_bfloat16_norms_do_not_overflow_or_round_in_bfloat16():
    layer = nn.Linear(300, 200).bfloat16()
    inputs = torch.randn(4, 300).bfloat16()
    squared, names = observed(layer, inputs, "sum")
    outputs = layer(inputs).detach().requires_grad_()
    own_loss(outputs).sum().backward()
    exact = outputs.grad.double().square().sum(1) * (inputs.double().square().sum(1) + 1)
    torch.testing.assert_close(squared.double(), exact, rtol=1e-5, atol=0.0)


def test_accumulated_backwards_are_concatenated_each_scaled_by_its_own_batch():
    model = nn.Linear(4, 3).double()
    norms = SampleNorms(model)
    first, second = torch.randn(5, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    for inputs in (first, second):
        own_loss(model(inputs)).mean().backward()
    expected = oracle(model, torch.cat([first, second]), norms.covered)
    torch.testing.assert_close(norms.collect().squared_norms, expected, rtol=1e-10, atol=0.0)
    assert norms.collect() is None


def test_two_forwards_in_one_backward_are_different_samples():
    model = Repeated().double()
    norms = SampleNorms(model)
    first, second = torch.randn(5, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    (own_loss(model(first)).mean() + own_loss(model(second)).mean()).backward()
    expected = oracle(model, torch.cat([second, first]), norms.covered)
    torch.testing.assert_close(norms.collect().squared_norms, expected, rtol=1e-10, atol=0.0)


def test_frozen_and_unreached_parameters():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).double()
    model[0].weight.requires_grad_(False)
    norms = SampleNorms(model)
    assert norms.covered == ("0.bias", "1.weight", "1.bias")
    inputs = torch.randn(5, 3, dtype=torch.float64)
    own_loss(model(inputs)).mean().backward()
    expected = oracle(model, inputs, norms.covered)
    torch.testing.assert_close(norms.collect().squared_norms, expected, rtol=1e-10, atol=0.0)
    model[0].weight.requires_grad_(True)
    assert norms.covered[0] == "0.weight"


def test_a_branch_without_gradient_counts_nothing():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, values):
            self.unused(values)
            return self.used(values) + self.unused(values) * 0

    model, inputs = Branch().double(), torch.randn(4, 3, dtype=torch.float64)
    squared, names = observed(model, inputs)
    torch.testing.assert_close(squared, oracle(model, inputs, names), rtol=1e-10, atol=0.0)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.layer = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)

    def forward(self, values):
        return self.norm(self.layer(values)) * self.scale


def test_what_is_not_covered_is_named_with_its_reason():
    model = nn.ModuleDict(
        {
            "bare": Bare(),
            "attention": nn.MultiheadAttention(4, 2),
            "sparse": nn.Embedding(3, 2, sparse=True),
            "counted": nn.Embedding(3, 2, scale_grad_by_freq=True),
            "recurrent": nn.GRU(2, 2),
            "tracked": nn.InstanceNorm1d(2, affine=True, track_running_stats=True),
        }
    )
    norms = SampleNorms(model)
    assert norms.covered == ("bare.layer.weight", "bare.layer.bias")
    assert set(norms.uncovered) == {n for n, _ in model.named_parameters()} - set(norms.covered)
    assert norms.reasons["bare.scale"] == "no rule for `scale` of Bare"
    assert norms.reasons["bare.norm.weight"] == "BatchNorm1d mixes the samples of a batch"
    assert "functional call" in norms.reasons["attention.out_proj.weight"]
    assert "sparse" in norms.reasons["sparse.weight"]
    assert "counts" in norms.reasons["counted.weight"]
    assert "running statistics" in norms.reasons["tracked.bias"]
    assert norms.mixing == ("bare.norm",)
    norms.close()


class Positions(nn.Module):
    """Positions looked up once and broadcast over the batch: their gradient no longer tells samples apart."""

    def __init__(self, length):
        super().__init__()
        self.words, self.places = nn.Embedding(9, 3), nn.Embedding(length, 3)

    def forward(self, indices):
        return self.words(indices) + self.places(torch.arange(indices.shape[1]))


@pytest.mark.parametrize("samples", [4, 6])
def test_a_table_of_positions_that_all_samples_share_is_uncovered(samples):
    model, indices = Positions(6).double(), torch.randint(0, 9, (samples, 6))
    squared, names = observed(model, indices)
    assert names == ("words.weight",)
    torch.testing.assert_close(squared, oracle(model, indices, names), rtol=1e-10, atol=0.0)


def test_a_weight_that_is_also_read_elsewhere_is_uncovered():
    class Functional(Tied):
        def forward(self, indices):
            return functional.linear(torch.tanh(self.inner(self.embedding(indices))), self.embedding.weight)

    model = Functional().double()
    norms = SampleNorms(model)
    indices = torch.randint(0, 11, (4, 5))
    own_loss(model(indices)).mean().backward()
    assert norms.reasons == {"embedding.weight": "is also read outside the layer that holds it"}
    expected = oracle(model, indices, norms.covered)
    torch.testing.assert_close(norms.collect().squared_norms, expected, rtol=1e-10, atol=0.0)


def test_samples_folded_into_places_are_uncovered():
    model = nn.Sequential(nn.Linear(3, 4), nn.Flatten(0, 1), nn.Linear(4, 2))
    norms = SampleNorms(model)
    own_loss(model(torch.randn(5, 6, 3))).mean().backward()
    assert norms.covered == ("0.weight", "0.bias")
    assert norms.reasons["2.weight"] == "`2` was given 30 rows where the model was given 5 samples"


def test_a_subclass_with_another_forward_is_uncovered():
    class Doubled(nn.Linear):
        def forward(self, values):
            return 2 * super().forward(values)

    class Plain(nn.Linear):
        pass

    assert SampleNorms(Doubled(2, 2)).covered == ()
    assert SampleNorms(Plain(2, 2)).covered == ("weight", "bias")


def test_second_backward_through_one_forward_is_refused():
    model = nn.Linear(3, 2)
    norms = SampleNorms(model)
    losses = own_loss(model(torch.randn(4, 3)))
    losses.mean().backward(retain_graph=True)
    losses.mean().backward()
    with pytest.raises(RuntimeError, match="Two backward passes went through one forward pass"):
        norms.collect()
    own_loss(model(torch.randn(4, 3))).mean().backward()
    assert norms.collect().squared_norms.shape == (4,)


def test_a_layer_called_past_its_model_is_refused():
    model = nn.Sequential(nn.Linear(3, 2))
    norms = SampleNorms(model)
    own_loss(model[0](torch.randn(4, 3))).mean().backward()
    with pytest.raises(RuntimeError, match="`0` was called outside the model's own forward"):
        norms.collect()


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match='`reduction` must be "mean" or "sum", got \'none\''):
        SampleNorms(nn.Linear(1, 1), reduction="none")


def living_tensors():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.parametrize("mode", ["no_grad", "eval", "no backward", "backward"])
def test_a_hundred_passes_leave_nothing_behind(mode):
    model = Language(checkpointed=None)
    norms = SampleNorms(model)
    inputs = torch.randint(0, 13, (3, 7))
    model.train(mode != "eval")

    def step():
        with torch.set_grad_enabled(mode != "no_grad"):
            loss = own_loss(model(inputs)).mean()
        if mode == "backward":
            loss.backward()
            assert norms.collect() is not None

    step()
    before = living_tensors()
    for _ in range(100):
        step()
    assert living_tensors() == before
    assert norms.collect() is None


def test_inputs_are_freed_by_the_backward_even_while_the_loss_is_kept():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    norms = SampleNorms(model)
    alive = []
    model[2].register_forward_pre_hook(
        lambda module, args: alive.append(weakref.ref(args[0].untyped_storage()))
    )
    loss = own_loss(model(torch.randn(5, 3))).mean()
    loss.backward()
    assert alive[0]() is None
    assert loss.grad_fn is not None and norms.collect() is not None


def test_an_error_in_the_forward_pass_does_no_harm():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    norms = SampleNorms(model)
    with pytest.raises(RuntimeError):
        model(torch.randn(4, 5))
    own_loss(model(torch.randn(4, 3))).mean().backward()
    assert norms.collect().squared_norms.shape == (4,)


def test_observation_changes_no_gradient():
    model, inputs = convnet(), torch.randn(5, 3, 9, 7)
    own_loss(model(inputs)).mean().backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    observed(model, inputs)
    assert all(torch.equal(a, p.grad) for a, p in zip(plain, model.parameters(), strict=True))


def test_close_leaves_no_hook():
    model = Language()
    norms = SampleNorms(model)
    loss = own_loss(model(torch.randint(0, 13, (3, 7)))).mean()
    norms.close()
    loss.backward()
    assert norms.collect() is None
    for module in model.modules():
        for table in vars(module):
            assert "hooks" not in table or not getattr(module, table), table


def test_copies_and_saved_models_have_no_listener():
    model = convnet()
    norms = SampleNorms(model)
    inputs = torch.randn(5, 3, 9, 7)
    own_loss(model(inputs)).mean().backward()
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
        norms.clear()
        own_loss(twin(inputs)).mean().backward()
        assert norms.collect() is None


def test_transforms_of_torch_func_are_not_passes():
    model, inputs = nn.Linear(4, 2), torch.randn(3, 4)
    norms = SampleNorms(model)
    grad(lambda values: own_loss(model(values)).sum())(inputs)
    vmap(lambda row: model(row[None]))(inputs)
    assert norms.collect() is None
    assert norms.uncovered == ()


def test_a_gradient_that_never_met_its_layer_is_uncovered():
    model, inputs = nn.Linear(4, 2), torch.randn(3, 4)
    norms = SampleNorms(model)
    own_loss(functional.linear(inputs, model.weight)).mean().backward()
    assert norms.collect() is None
    assert norms.reasons == {"weight": "got its gradient without a call of the layer that holds it"}


def test_a_batch_of_no_samples_gives_nothing():
    model = convnet()
    norms = SampleNorms(model)
    model(torch.randn(0, 3, 9, 7)).sum().backward()
    assert norms.collect() is None


@pytest.mark.filterwarnings("ignore")  # the compiler's own, as it looks into the hooks
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


@dataclass
class Answer:
    logits: torch.Tensor


def test_inputs_by_keyword_and_outputs_in_records():
    class Recorded(Tied):
        def forward(self, *, batch):
            hidden = self.inner(input=self.embedding(input=batch["indices"]))
            return Answer(functional.linear(hidden, self.embedding.weight))

    model = Recorded()
    norms = SampleNorms(model)
    own_loss(model(batch={"indices": torch.randint(0, 11, (4, 5))}).logits).mean().backward()
    assert norms.collect().squared_norms.shape == (4,)
    assert norms.covered == ("inner.weight", "inner.bias")
