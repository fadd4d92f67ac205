"""The preconditioner read from an optimizer's state is what its steps multiply gradients by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nalr import NoiseEstimator
from nalr.torch import NoiseAdaptiveLR, NoiseAdaptiveOptimizer, preconditioner


def parameters():
    return [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]


def step(optimizer, params, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    return np.concatenate([p.grad.reshape(-1).numpy() for p in params])


def flat(params):
    return np.concatenate([p.detach().double().reshape(-1).numpy() for p in params])


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.9)),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.9), amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.0, 0.99), weight_decay=0.0),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.1),
    "rmsprop, centered": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_the_rate_times_p_times_the_gradient(name):
    params = parameters()
    optimizer = OPTIMIZERS[name](params)
    for seed in range(5):
        before = flat(params)
        gradient = step(optimizer, params, seed)
        np.testing.assert_allclose(
            before - flat(params), 0.1 * preconditioner(optimizer) * gradient, rtol=2e-5, atol=1e-6
        )


def test_groups_count_by_their_rates_and_parameters_without_gradients_as_never_moved():
    params = [*parameters(), torch.nn.Parameter(torch.zeros(2))]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.05}]
    optimizer = torch.optim.Adam(groups, lr=0.1, betas=(0.0, 0.9), eps=1e-4)
    before = flat(params)
    gradient = step(optimizer, params[:2], 0)
    found = preconditioner(optimizer)
    np.testing.assert_allclose((before - flat(params))[:10], 0.1 * found[:10] * gradient, rtol=1e-4)
    np.testing.assert_allclose(found[10:], 0.5 * 1e4)


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, lr=0.1), lambda p: torch.optim.Adam(p)])
def test_without_second_moments_it_says_so(make):
    with pytest.raises(ValueError, match="`optimizer` must hold second moments, got .* without"):
        preconditioner(make(parameters()))


def test_it_reads_through_our_wrapper_and_beside_our_scheduler():
    params = parameters()
    adam = torch.optim.Adam(params, lr=0.1)
    wrapper = NoiseAdaptiveOptimizer(torch.optim.Adam(parameters(), lr=0.1), noise="steps")
    scheduler = NoiseAdaptiveLR(adam, noise="steps")
    step(adam, params, 0)
    scheduler.step(1.0)
    assert preconditioner(adam).shape == (10,)
    for parameter in (p for group in wrapper.param_groups for p in group["params"]):
        parameter.grad = torch.ones_like(parameter)
    wrapper.step(loss=1.0)
    assert preconditioner(wrapper) == pytest.approx(1.0, rel=1e-5)


def test_noise_as_adam_sees_it_is_that_of_the_scaled_gradients(rng):
    params = parameters()
    adam = torch.optim.Adam(params, lr=0.01)
    step(adam, params, 0)
    rows, scale = rng.normal(size=(8, 10)), preconditioner(adam)
    reading = NoiseEstimator().update(rows, preconditioner=scale).reading()
    assert reading.total_variance == pytest.approx((scale * rows.var(axis=0, ddof=1)).sum(), rel=1e-10)
