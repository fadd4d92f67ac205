"""Parameters whose norms are not known are named, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

from nalr.torch.ghost import SampleNorms
from tests.torch.samples import (
    ORACLE_WARNINGS,
    Tied,
    observed,
    oracle,
    own_loss,
)

pytestmark = ORACLE_WARNINGS


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


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match='`reduction` must be "mean" or "sum", got \'none\''):
        SampleNorms(nn.Linear(1, 1), reduction="none")


def test_a_gradient_that_never_met_its_layer_is_uncovered():
    model, inputs = nn.Linear(4, 2), torch.randn(3, 4)
    norms = SampleNorms(model)
    own_loss(functional.linear(inputs, model.weight)).mean().backward()
    assert norms.collect() is None
    assert norms.reasons == {"weight": "got its gradient without a call of the layer that holds it"}


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
