"""Runs that a guard used to end for good, against the same run without us or a bound of the task."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import nalr.torch
from nalr._checks import NoiseWarning
from nalr_bench.situations.play import Play, play

CLASSES = {
    "adamw": (torch.optim.AdamW, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "sgd": (torch.optim.SGD, {}),
}


class Regression:
    """A network on the sum of ten sines, from one seed."""

    def __init__(self, name, lr, total_steps=None, seed=0):
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(torch.nn.Linear(10, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
        kind, settings = CLASSES[name]
        self.optimizer = kind(self.model.parameters(), lr=lr, **settings)
        self.scheduler = nalr.torch.NoiseAdaptiveLR(self.optimizer, total_steps=total_steps)

    def loss(self, samples=32):
        inputs = torch.randn(samples, 10)
        return F.mse_loss(self.model(inputs), inputs.sin().sum(1, keepdim=True))

    def run(self, steps, give_loss=True):
        for _ in range(steps):
            loss = self.loss()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.scheduler.step(loss if give_loss else None)
        with torch.no_grad():
            return float(self.loss(2000))


@pytest.mark.parametrize(("name", "lr"), [("adamw", 1.0), ("adamw", 10.0), ("momentum", 1.0), ("sgd", 10.0)])
def test_without_a_loss_a_base_rate_far_too_large_ends_below_the_first_loss(name, lr):
    assert Regression(name, lr, 400).run(400, give_loss=False) < 1.0  # the first is 4.5; it was 3 to 4.6e6


@pytest.mark.parametrize("name", CLASSES)
def test_a_copy_made_right_after_the_first_step_has_not_left_the_start(name):
    run = Regression(name, 1.0)
    before = torch.nn.utils.parameters_to_vector(run.model.parameters()).detach()
    loss = run.loss()
    loss.backward()
    run.optimizer.step()
    moved = torch.nn.utils.parameters_to_vector(run.model.parameters()).detach()
    assert float((moved - before).norm()) <= 0.0201 * float(before.norm())
    run.scheduler.step(loss)
    settled = torch.nn.utils.parameters_to_vector(run.model.parameters()).detach()
    assert float((settled - before).norm()) <= 1.001 * float((moved - before).norm())


def test_plain_sgd_of_one_backward_a_step_comes_from_a_base_rate_far_too_small():
    low, right = (Regression("sgd", lr, 400).run(400) for lr in (1e-6, 1e-2))
    assert low < 1.2 * right  # the end was 3.9, as the noise of one row was taken for curvature


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_explosion_in_a_narrow_valley_does_not_freeze_the_rate(dtype):
    x, y = (torch.nn.Parameter(torch.tensor(value, dtype=dtype)) for value in (1.0, 1.5))
    optimizer = torch.optim.SGD([x, y], lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseWarning)  # that the rate had sunk, before it came back
        for _ in range(3000):
            optimizer.zero_grad()
            loss = (1 - x) ** 2 + 100 * (y - x**2) ** 2
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
    assert loss.item() < 2e-3  # the constant rate ends at 1.3e-3; it froze at .023
    assert scheduler.lr > 1e-4  # and at 1e-11


@pytest.mark.parametrize("total_steps", [10, 20, 50, 100])
@pytest.mark.parametrize("name", CLASSES)
def test_a_short_horizon_ends_far_below_its_peak(name, total_steps):
    run = Regression(name, 1e-2 if name == "adamw" else 3e-3, total_steps)
    run.run(total_steps)
    rates = np.array(run.scheduler.history.to_dict()["lr"])
    assert rates[-1] <= 0.22 * rates.max()  # it was .3 to 1


@pytest.mark.slow
def test_a_loss_that_converges_exactly_ends_no_run():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseWarning)
        for _ in range(4000):
            optimizer.zero_grad()
            loss = model(torch.ones(1, 2)).pow(2).mean()
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
    assert loss.item() < 1e-12 and math.isfinite(scheduler.lr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("situation", "optimizer"),
    [("times 20", "adamw"), ("times 20", "sgd"), ("policy gradient", "adamw"), ("two players", "adamw")],
)
def test_a_loss_that_is_no_level_ends_where_the_constant_rate_does(situation, optimizer):
    def distance(adaptive):
        return np.mean([play(Play(situation, optimizer, seed, 1000, adaptive)) for seed in range(2)])

    # `python -m nalr_bench.situations` has all of them, over five seeds, within 1.2
    assert distance(adaptive=True) < 1.4 * distance(adaptive=False)
