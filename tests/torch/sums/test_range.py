"""Gradients of any finite length in float32: their squares leave its range from 1e19 on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import nalr.torch
from nalr.torch.sums.path import TensorPath

SCALES = [1e-30, 1e-25, 1e-19, 1.0, 1e19, 1e30]


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("size", [7, 300, 200_000])
@pytest.mark.parametrize("scale", SCALES)
def test_sums_are_those_of_float64(scale, size, on_device):
    weight = nn.Parameter(torch.randn(size))
    path = TensorPath([weight], coordinates=size, on_device=on_device)
    before = weight.detach().double()
    weight.grad = scale * torch.randn(size)
    with torch.no_grad():
        weight.sub_(0.1 * torch.randn(size))
    step, slope = before - weight.detach().double(), weight.grad.double()
    sums = path.advance(0.0)
    assert sums.squared_norm == pytest.approx(float(slope @ slope), rel=1e-6)
    assert sums.step_product == pytest.approx(
        float(slope @ step), rel=1e-4, abs=1e-6 * float(slope.norm() * step.norm())
    )
    assert path.advance(0.0).previous_product == pytest.approx(float(slope @ slope), rel=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("noise", "microbatches"), [("samples", 1), ("microbatches", 3), ("steps", 1)])
def test_a_loss_in_other_units_gives_the_same_noise_in_these_units(scale, noise, microbatches):
    """And nothing is skipped or held: losses times c have a tr Σ times c²."""
    found = []
    for units in (1.0, scale):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-12 / units)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model, noise=noise, max_lr=2e-12 / units)
        for step in range(4):
            if step == 1:
                scheduler.controller.estimator.reset()  # the first step of samples may have been out of range
            optimizer.zero_grad()
            for part in range(microbatches):
                inputs = torch.randn(16, 5, generator=torch.Generator().manual_seed(10 * step + part))
                loss = units * (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
                loss.backward()
            optimizer.step()
            scheduler.step(loss)
        assert "skip" not in scheduler.history.reason_counts
        assert scheduler.reading().source == noise
        found.append(scheduler.controller.estimator.total_variance / units**2)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3)
