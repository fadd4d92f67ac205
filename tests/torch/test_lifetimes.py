"""Nothing lives on because of us: models are freed where torch's own schedulers free them."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import nalr.torch


def torchs(optimizer, model, **settings):
    return torch.optim.lr_scheduler.StepLR(optimizer, 5)


def scheduled(optimizer, model, **settings):
    return nalr.torch.NoiseAdaptiveLR(optimizer, model=model, **settings)


def wrapped(optimizer, model, **settings):
    return nalr.torch.NoiseAdaptiveOptimizer(optimizer, model=model, **settings)


SOURCES = [
    {"noise": "steps"},
    {"noise": "microbatches"},
    {"noise": "samples"},
    {"noise": "auto"},
    {"rollback": True},
    {"noise": "samples", "rollback": True},
]


def train(model, optimizer, follower, steps=3, closure=False):
    for _ in range(steps):

        def loss():
            optimizer.zero_grad()
            value = model(torch.randn(6, 4)).square().mean()
            value.backward()
            return value

        if isinstance(follower, nalr.torch.NoiseAdaptiveOptimizer):
            follower.step(loss) if closure else follower.step(loss=loss())
        elif closure:
            optimizer.step(loss)
            follower.step()
        else:
            value = loss()
            optimizer.step()
            follower.step(value) if isinstance(follower, nalr.torch.NoiseAdaptiveLR) else follower.step()


def hooks_of(model, optimizer):
    """Count the hooks that hang on a model, its parameters and its optimizer."""
    found = len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)
    for module in model.modules():
        found += len(module._forward_hooks) + len(module._forward_pre_hooks)
    for parameter in model.parameters():
        found += len(parameter._backward_hooks or ()) + len(parameter._post_accumulate_grad_hooks or ())
    return found


@pytest.fixture
def counted_only():
    """Switch off the collection of cycles: what is freed is freed by its count of references."""
    model = torch.nn.Linear(4, 1)  # torch's own first step imports much, whose frames hold what is there
    optimizer = torch.optim.AdamW(model.parameters())
    train(model, optimizer, torchs(optimizer, model), steps=1)
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("closure", [False, True], ids=["losses", "closures"])
@pytest.mark.parametrize("settings", SOURCES, ids=str)
@pytest.mark.parametrize("form", [torchs, scheduled, wrapped])
def test_all_that_a_run_made_is_freed_by_counts(form, settings, closure, counted_only):
    def run():
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        follower = form(optimizer, model, **settings)
        train(model, optimizer, follower, closure=closure)
        parts = [model, optimizer, follower, *model.parameters()]
        if form is not torchs:
            parts += [follower.engine, follower.controller, follower.engine.measurement]
        return [weakref.ref(part) for part in parts]

    alive = [reference() for reference in run()]
    assert alive == [None] * len(alive)


@pytest.mark.parametrize("settings", SOURCES, ids=str)
@pytest.mark.parametrize("form", [scheduled, wrapped])
def test_hooks_end_with_their_engine(form, settings, counted_only):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    for _ in range(20):
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        follower = form(optimizer, model, **settings)
        train(model, optimizer, follower, steps=2)
        assert hooks_of(model, optimizer) > 0
        del follower
        assert hooks_of(model, optimizer) == 0
    follower = form(optimizer, model, **settings)  # watched no longer
    follower.detach()
    assert hooks_of(model, optimizer) == 0


def test_an_optimizer_whose_scheduler_is_gone_steps_at_the_users_rate():
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    del scheduler
    weight.grad = torch.ones(3)
    optimizer.step()
    assert weight.tolist() == [0.5] * 3


def test_sample_norms_do_not_keep_their_model(counted_only):
    model = torch.nn.Linear(4, 1)
    norms = nalr.torch.SampleNorms(model)
    model(torch.randn(3, 4)).mean().backward()
    parts = [weakref.ref(part) for part in (model, model.weight, norms)]
    assert norms.collect().squared_norms.shape == (3,)
    del norms
    assert not model._forward_hooks and not model._forward_pre_hooks
    del model
    assert [part() for part in parts] == [None] * 3
