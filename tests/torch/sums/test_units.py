"""Clipping by any factor is clipping; a loss scale shows by the scaler that steps, or by staying the same."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import nalr.torch
from nalr._checks import NoiseWarning

MAX_NORM = 1e-4  # gradients are some 10⁴ to 10⁵ times as long
STEPS = 8


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def run(clip: bool, scale: float | None = None, by_scaler: bool = False, steps: int = STEPS):
    """Return the variances that a run at a standstill reads, and whether it was seen to be clipped."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-12)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, max_lr=1e-11)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=by_scaler)
    variances, clipped = [], []
    for step in range(steps):
        optimizer.zero_grad()
        for part in range(2):
            inputs = torch.randn(16, 5, generator=torch.Generator().manual_seed(10 * step + part))
            loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean() / 2
            (scaler.scale(loss) if by_scaler else loss * (scale or 1.0)).backward()
        if by_scaler:
            scaler.unscale_(optimizer)
        elif scale is not None:
            for parameter in model.parameters():
                parameter.grad /= scale
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step(loss)
        variances.append(scheduler.reading().total_variance)
        clipped.append(scheduler.engine.measurement.clipped)
    return variances, clipped


@pytest.mark.parametrize("scale", [None, 65536.0, 3000.0])
def test_clipping_by_any_factor_changes_nothing_that_is_read(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error", NoiseWarning)
        plain, not_clipped = run(clip=False)
        found, clipped = run(clip=True, scale=scale, by_scaler=scale is not None)
    assert found == pytest.approx(plain, rel=1e-4)
    assert all(clipped) and not any(not_clipped)


@pytest.mark.parametrize("scale", [3000.0, 7777.0])
def test_a_scaler_of_any_scale_is_found(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error", NoiseWarning)
        found, clipped = run(clip=False, scale=scale, by_scaler=True)
    assert found == pytest.approx(run(clip=False)[0], rel=1e-4)
    assert not any(clipped)


def test_a_scale_made_by_hand_is_known_at_the_second_step():
    with pytest.warns(NoiseWarning, match="factor of 0.000333 between backward and step"):
        _, clipped = run(clip=False, scale=3000.0)
    assert clipped == [True] + [False] * (STEPS - 1)
