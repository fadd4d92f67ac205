"""Each pass has its own samples, and leaves nothing behind."""

from __future__ import annotations

import copy
import gc
import io
import weakref

import pytest
import torch
from torch import nn
from torch.func import grad, vmap

from nalr.torch.ghost import SampleNorms
from tests.torch.samples import (
    ORACLE_WARNINGS,
    Language,
    Repeated,
    convnet,
    observed,
    oracle,
    own_loss,
)

pytestmark = ORACLE_WARNINGS


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


def living_tensors():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@pytest.mark.slow
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
    assert living_tensors() <= before  # fewer where another test's garbage went meanwhile
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


def test_a_batch_of_no_samples_gives_nothing():
    model = convnet()
    norms = SampleNorms(model)
    model(torch.randn(0, 3, 9, 7)).sum().backward()
    assert norms.collect() is None
