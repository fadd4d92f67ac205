"""The same gradients through NumPy and through torch: the same rates, from the tensors' own memory."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

import nalr
import nalr.torch
from nalr.torch.sums.coordinates import BLOCK, MOST, SMALL, WHOLE
from nalr.torch.sums.views import as_numpy, flat
from tests.torch.training import OPTIMIZERS, Training, effective

EPS = {torch.float32: float(np.finfo(np.float32).eps), torch.float64: float(np.finfo(np.float64).eps)}
NAMES = {torch.float32: "float32", torch.float64: "float64"}
STEPS = 200


def gently(name: str, dtype: torch.dtype) -> Training:
    """Return a training whose first step is short enough to be kept: rows alone cannot tell its promise."""
    training = Training(OPTIMIZERS[name], dtype)
    for group in training.optimizer.param_groups:
        group["lr"] *= 0.1 if name == "momentum" else 1.0
    return training


@functools.cache
def by_numpy(name: str, dtype: torch.dtype, microbatches: int) -> tuple[list[float], list[float]]:
    """Train with rates from rows and parameters as arrays; return rates and total variances."""
    training = gently(name, dtype)
    group = training.optimizer.param_groups[0]
    adaptive = nalr.NoiseAdaptiveLR(group["lr"], total_steps=STEPS, path_dtype=NAMES[dtype])
    parameters = list(training.model.parameters())
    rates, variances = [], []
    for step in range(STEPS):
        inputs, targets = training.data(step)
        rows, losses = [], []
        training.optimizer.zero_grad()
        for x, y in zip(inputs.chunk(microbatches), targets.chunk(microbatches), strict=True):
            loss = torch.nn.functional.mse_loss(training.model(x), y)
            own = torch.autograd.grad(loss / microbatches, parameters)
            for p, g in zip(parameters, own, strict=True):
                p.grad = g.clone() if p.grad is None else p.grad + g
            rows.append(microbatches * torch.cat([g.reshape(-1) for g in own]).numpy())
            losses.append(loss.detach() / microbatches)
        place = torch.cat([p.detach().reshape(-1) for p in parameters]).numpy()
        loss = sum(losses) if microbatches > 1 else losses[0]
        group["lr"] = adaptive.get_adapted_lr(np.array(rows), float(loss), place)
        training.optimizer.step()
        rates.append(group["lr"])
        variances.append(adaptive.estimator.total_variance)
    return rates, variances


def by_torch(
    name: str, dtype: torch.dtype, microbatches: int, on_device: bool | None
) -> tuple[list[float], list[float]]:
    training = gently(name, dtype)
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer, total_steps=STEPS, on_device=on_device)
    seen, variances = effective(training.optimizer), []
    for step in range(STEPS):
        wrapper.step(loss=training.backward(step, microbatches))
        variances.append(wrapper.controller.estimator.total_variance)
    return [row[0] for row in seen], variances


def growth(rates: list[float], others: list[float]) -> np.ndarray:
    return np.abs(np.log(np.array(rates) / np.array(others)))


@pytest.mark.slow
@pytest.mark.parametrize("on_device", [None, True], ids=["kernels", "operations"])
@pytest.mark.parametrize("microbatches", [1, 4])
@pytest.mark.parametrize("dtype", EPS, ids=NAMES.values())
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_gradients_give_the_same_rates(name, dtype, microbatches, on_device):
    """To rounding, which a run of feedback amplifies: a factor of 10⁴ is allowed over its 200 steps."""
    expected, variances = by_numpy(name, dtype, microbatches)
    rates, found = by_torch(name, dtype, microbatches, on_device)
    assert len(set(rates)) > 50
    assert growth(rates, expected).max() < 1e4 * EPS[dtype]
    known = ~np.isnan(variances)
    assert (np.isnan(found) == ~known).all()
    np.testing.assert_allclose(np.array(found)[known], np.array(variances)[known], rtol=1e4 * EPS[dtype])


# -- memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", ["contiguous", "channels last", "transposed"])
def test_kernels_get_the_tensors_own_memory(dtype, layout):
    weight = torch.randn(4, 3, 5, 5).to(dtype)
    if layout == "channels last":
        weight = weight.to(memory_format=torch.channels_last)
    if layout == "transposed":
        weight = weight.transpose(0, 2)
    array = as_numpy(flat(weight, weight))
    assert array.__array_interface__["data"][0] == weight.data_ptr()
    assert array.shape == (300,) and array.itemsize == weight.itemsize
    if layout != "contiguous":  # the usual way copies
        assert weight.reshape(-1).data_ptr() != weight.data_ptr()


def test_the_gradient_of_a_channels_last_weight_lies_beside_it():
    layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    layer(torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)).square().sum().backward()
    weight, gradient = layer.weight.detach(), layer.weight.grad
    line = flat(gradient, weight)
    assert torch.equal(line.sort().values, gradient.reshape(-1).sort().values)
    assert torch.equal(line, gradient.permute(0, 2, 3, 1).reshape(-1))
    if gradient.stride() == weight.stride():
        assert line.data_ptr() == gradient.data_ptr()


def test_a_gradient_in_another_order_is_brought_into_that_of_its_parameter():
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    gradient = torch.randn(4, 3, 2, 2)
    assert torch.equal(flat(gradient, weight), gradient.permute(0, 2, 3, 1).reshape(-1))


@pytest.mark.parametrize("on_device", [False, True], ids=["kernels", "operations"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_parameters_are_measured(dtype, on_device):
    """Against the float32 sums of the same gradients."""
    torch.manual_seed(1)
    model = torch.nn.Linear(16, 4).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(optimizer, on_device=on_device)
    rows = []
    for _ in range(2):
        before = [p.grad.float().clone() if p.grad is not None else 0.0 for p in model.parameters()]
        (0.5 * model(torch.randn(8, 16).to(dtype)).float().square().mean()).backward()
        after = [p.grad.float() for p in model.parameters()]
        rows.append(torch.cat([(a - b).reshape(-1) for a, b in zip(after, before, strict=True)]))
    wrapper.step(loss=1.0)
    expected = torch.stack(rows).mul(2).double().var(0).sum().item()
    eps = torch.finfo(dtype).eps  # the sum of both is rounded to it
    assert wrapper.controller.estimator.total_variance == pytest.approx(expected, rel=20 * eps)


# -- the noise itself -------------------------------------------------------------------------------


@pytest.mark.parametrize("microbatches", [2, 4])
def test_microbatches_give_the_variance_of_their_rows_at_every_step(microbatches):
    training = Training(OPTIMIZERS["sgd"], torch.float64)
    estimator = nalr.NoiseEstimator(decay=0.0)
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(
        training.optimizer, microbatch_size=16 // microbatches, estimator=estimator
    )
    for step in range(10):
        inputs, targets = training.data(step)
        rows = []
        for x, y in zip(inputs.chunk(microbatches), targets.chunk(microbatches), strict=True):
            loss = torch.nn.functional.mse_loss(training.model(x), y)
            own = torch.autograd.grad(loss, list(training.model.parameters()))
            rows.append(torch.cat([g.reshape(-1) for g in own]).numpy())
        wrapper.step(loss=training.backward(step, microbatches))
        expected = np.var(rows, axis=0, ddof=1).sum() * 16 / microbatches
        assert estimator.total_variance == pytest.approx(expected, rel=1e-9)
        assert wrapper.reading().source == "microbatches" and wrapper.reading().num_rows == microbatches


@pytest.mark.parametrize("noise", ["samples", "auto"])
def test_samples_give_the_variance_of_single_gradients(noise):
    training = Training(OPTIMIZERS["sgd"], torch.float64)
    estimator = nalr.NoiseEstimator(decay=0.0)
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(
        training.optimizer, noise=noise, model=training.model, estimator=estimator
    )
    plain = Training(OPTIMIZERS["sgd"], torch.float64)
    for step in range(5):
        plain.model.load_state_dict(training.model.state_dict())
        inputs, targets = plain.data(step)
        rows = []
        for i in range(16):
            loss = torch.nn.functional.mse_loss(plain.model(inputs[i : i + 1]), targets[i : i + 1])
            own = torch.autograd.grad(loss, list(plain.model.parameters()))
            rows.append(torch.cat([g.reshape(-1) for g in own]).numpy())
        wrapper.step(loss=training.backward(step, microbatches=1 + step % 2))
        expected = np.var(rows, axis=0, ddof=1).sum()
        assert estimator.total_variance == pytest.approx(expected, rel=1e-9)
        assert wrapper.reading().source == "samples" and wrapper.reading().num_rows == 16


def test_a_sum_taken_for_a_mean_scales_the_noise_by_the_square_of_the_batch():
    """Means are assumed, as documented: rows are made so that their mean is the gradient of the step."""
    variances = []
    for factor in (1.0, 16.0):  # the sum is 16 times the mean
        training = Training(OPTIMIZERS["sgd"], torch.float64)
        wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer, noise="samples", model=training.model)
        loss = factor * training.loss(0)
        loss.backward()
        wrapper.step(loss=loss)
        variances.append(wrapper.controller.estimator.total_variance)
    assert variances[1] == pytest.approx(256.0 * variances[0], rel=1e-9)


def test_uncovered_parameters_are_named_and_auto_goes_without():
    training = Training(OPTIMIZERS["sgd"])
    training.model.scale = torch.nn.Parameter(torch.ones(3))
    training.optimizer.add_param_group({"params": [training.model.scale]})
    with pytest.warns(nalr.NoiseWarning, match=r"do not cover scale \(.*\)\. Noise is that of the other"):
        nalr.torch.NoiseAdaptiveLR(training.optimizer, noise="samples", model=training.model).detach()
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, model=training.model)
    training.run(5, scheduler)
    assert scheduler.reading().source == "steps"


@pytest.mark.parametrize(("microbatches", "noise", "source"), [(1, "auto", "steps"), (3, "steps", "steps")])
def test_the_reading_says_where_noise_was_seen(microbatches, noise, source):
    training = Training(OPTIMIZERS["sgd"], batch=12)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, noise=noise)
    assert scheduler.reading().source == "none"
    training.run(5, scheduler, microbatches=microbatches)
    assert scheduler.reading().source == source
    assert scheduler.measured_before_clipping == (noise != "steps")


@pytest.mark.parametrize("microbatches", [1, 2])
def test_sampled_coordinates_estimate_the_sums_of_all(microbatches):
    found = []
    for coordinates in (None, 8000):
        training = Training(OPTIMIZERS["sgd"], width=20000)
        wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer, coordinates=coordinates)
        wrapper.step(loss=training.backward(0, microbatches))
        wrapper.step(loss=training.backward(1, microbatches))
        found.append(wrapper.controller.estimator.reading().total_variance)
    # sqrt(2/8000) of squares alone, as far again for their different sizes from unit to unit
    assert found[1] == pytest.approx(found[0], rel=8 * np.sqrt(2 / 8000))


def test_the_page_gives_the_sizes_of_the_sample():
    page = (Path(__file__).parents[2] / "docs" / "torch.md").read_text(encoding="utf-8")
    page = " ".join(page.split())
    spaced = "{:,}".format
    assert f"of fewer than {spaced(2 * WHOLE)}. ".replace(",", " ") in page
    assert f"between {spaced(WHOLE)} and twice as many".replace(",", " ") in page
    assert f"tensors of up to {spaced(SMALL)} values".replace(",", " ") in page
    assert f"blocks of {BLOCK} neighbours" in page and f"one block in {MOST};" in page


def test_clipping_that_begins_late_is_known_from_its_second_step_on():
    """Nobody reads gradients twice for a clipping that may never come; the first one is taken as it is."""
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    clipped, norms = [], []
    for step in range(12):
        loss = training.backward(step)
        norms.append(sum(float(p.grad.double().square().sum()) for p in training.model.parameters()))
        if step >= 6:
            torch.nn.utils.clip_grad_norm_(training.model.parameters(), 0.01)
        training.optimizer.step()
        scheduler.step(loss)
        clipped.append(scheduler.engine.measurement.clipped)
    assert clipped == [False] * 7 + [True] * 5
    factor = scheduler.engine.measurement.last_factor
    assert factor == pytest.approx(norms[-1] ** 0.5 / 0.01, rel=1e-3)


def test_auto_takes_samples_where_they_cover_the_model_and_leaves_them_where_they_do_not():
    from torch import nn

    class Tabled(nn.Module):
        """A table read by a range: it shows in the first pass alone that its rows are no samples."""

        def __init__(self):
            super().__init__()
            self.places, self.out = nn.Embedding(3, 4), nn.Linear(4, 1)

        def forward(self, inputs):
            return self.out(self.places(torch.arange(3)) + inputs[:, :, None]).mean((1, 2))[:, None]

    models = {
        "samples": nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)),
        "steps": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)),
    }
    for source, model in (*models.items(), ("steps", Tabled())):
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model)
        for _ in range(6):
            optimizer.zero_grad()
            loss = model(torch.randn(8, 3)).square().mean()
            loss.backward()
            optimizer.step()
            scheduler.step(loss)
        assert scheduler.reading().source == source, model
