"""Parameters without elements, empty batches, and parameters that are given other memory in mid-run."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import nalr.torch
from nalr.torch.sums.path import TensorPath

ON_DEVICE = pytest.mark.parametrize("on_device", [False, True])


def network(empty: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    if empty:
        model.register_parameter("nothing", nn.Parameter(torch.empty(0, 5)))
    return model


def loss_of(model: nn.Module, seed: int, rows: int = 8) -> torch.Tensor:
    inputs = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))
    loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().sum() / max(rows, 1)
    return loss + sum(p.sum() for p in model.parameters() if not p.numel())


@ON_DEVICE
@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_parameter_without_elements_changes_nothing(microbatches, on_device):
    found = []
    for empty in (False, True):
        model = network(empty)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, on_device=on_device)
        for step in range(6):
            optimizer.zero_grad()
            for part in range(microbatches):
                loss = loss_of(model, 10 * step + part)
                loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            scheduler.step(loss)
        found.append([*scheduler.history.to_numpy()["lr"], scheduler.reading().total_variance])
    assert found[1] == pytest.approx(found[0], rel=1e-12)  # the order of additions may be another


@ON_DEVICE
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_a_model_of_empty_parameters_alone_is_left_alone(kind, on_device):
    nothing = nn.Parameter(torch.empty(0))
    optimizer = kind([nothing], lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, on_device=on_device, rollback=True)
    for _ in range(4):
        optimizer.zero_grad()
        (1.0 + nothing.sum()).backward()
        optimizer.step()
        scheduler.step(1.0)
    assert scheduler.lr == 1e-3


@pytest.mark.parametrize("noise", ["samples", "microbatches", "steps"])
def test_an_empty_batch_does_no_harm(noise):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model, noise=noise)
    for step in range(6):
        optimizer.zero_grad()
        parts = [loss_of(model, 10 * step + part, 0 if step == 3 else 8) for part in range(2)]
        for part in parts:
            part.backward()
        optimizer.step()
        scheduler.step(sum(parts) / 2)
    assert 0.0 < scheduler.lr < 1.0
    assert 0.0 < scheduler.reading().total_variance < 1e3


SIZES = {"smaller": 40, "larger": 5000, "none": 0}


@ON_DEVICE
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_parameter_of_another_size_is_measured_anew(size, microbatches, on_device):
    """Each step's sums are those of the tensors that are there, as a path built for them gives."""
    weight = nn.Parameter(torch.ones(3000))
    optimizer = torch.optim.SGD([weight], lr=1e-6)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, on_device=on_device)
    for step in range(6):
        if step == 3:
            weight.data = torch.ones(SIZES[size])
            weight.grad = None
        optimizer.zero_grad()
        slope = 1.0 + torch.arange(len(weight)) / 7
        for part in range(microbatches):
            ((1.0 + part) * slope * weight).sum().backward()
        expected = float(weight.grad.double().square().sum())
        optimizer.step()
        scheduler.step(1.0)
        path = scheduler.engine.measurement.path
        assert path.dimension == len(weight)
        assert path._tracks[0].values[3].double().square().sum().item() == pytest.approx(expected, rel=1e-6)
    if size != "none":
        assert torch.isfinite(weight).all()


CHANGED = {
    "type": lambda data: data.double(),
    "order": lambda data: data.t().contiguous().t(),
    "cut in place": lambda data: data[:3],
    "turned in place": lambda data: data.t(),
}


@ON_DEVICE
@pytest.mark.parametrize("change", CHANGED)
def test_memory_that_is_laid_out_anew_begins_a_new_path(change, on_device):
    weight = nn.Parameter(torch.arange(30.0).reshape(5, 6))
    path = TensorPath([weight], on_device=on_device)
    assert path.is_of([weight])
    weight.data = CHANGED[change](weight.data)
    assert not path.is_of([weight])
    path = path.of([weight])
    before = weight.detach().clone()
    weight.grad = torch.arange(float(weight.numel())).reshape(weight.shape).to(weight.dtype)
    with torch.no_grad():
        weight.sub_(0.5 * weight.grad)
    step = before - weight.detach()
    sums = path.advance(0.0)
    assert sums.step_squared_norm == pytest.approx(step.square().sum().item(), rel=1e-6)
    assert sums.step_product == pytest.approx((weight.grad * step).sum().item(), rel=1e-6)


SAVED = {**CHANGED, "larger": lambda data: torch.ones(9, 6), "none": lambda data: torch.ones(0, 6)}


@ON_DEVICE
@pytest.mark.parametrize("change", SAVED)
def test_a_run_saved_between_such_a_change_and_the_next_step_goes_on_as_if_not_saved(change, on_device):
    def make(data):
        weight = nn.Parameter(data)
        optimizer = torch.optim.SGD([weight], lr=1e-3)
        scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, on_device=on_device, rollback=True)
        return weight, optimizer, scheduler

    def train(weight, optimizer, scheduler, first, last):
        for step in range(first, last):
            optimizer.zero_grad()
            for part in range(2):
                loss = (1.0 + (weight - step - part).square().sum()) / 2
                loss.backward()
            nn.utils.clip_grad_norm_([weight], 1.0)  # read by the ratio of the step before
            optimizer.step()
            scheduler.step(2.0 * loss.detach())

    run = make(torch.arange(30.0).reshape(5, 6))
    train(*run, 0, 4)
    weight, optimizer, scheduler = run
    weight.data, weight.grad = SAVED[change](weight.data), None
    fresh = make(weight.data.clone(memory_format=torch.preserve_format))
    fresh[1].load_state_dict(optimizer.state_dict())
    fresh[2].load_state_dict(scheduler.state_dict())
    assert fresh[2].engine.measurement.scales.ratio == scheduler.engine.measurement.scales.ratio > 1.0
    for each in (run, fresh):
        train(*each, 4, 5)  # the old one's hooks are of other memory in this step
    assert torch.equal(fresh[0], weight) and fresh[2].get_last_lr() == scheduler.get_last_lr()


@ON_DEVICE
@pytest.mark.parametrize("size", [4, 4000])
def test_a_gradient_of_another_size_is_not_read(size, on_device):
    """No optimizer makes a step of it; what lies behind it must not be read either."""
    weight = nn.Parameter(torch.ones(300))
    weight.grad = torch.ones(300)
    path = TensorPath([weight], on_device=on_device)
    weight.data = torch.ones(size)
    path = path.of([weight])
    assert path.advance(0.0).squared_norm == 0.0


@pytest.mark.parametrize("rollback", [False, True])
def test_a_resized_model_trains_on(rollback):
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, model=model, rollback=rollback)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(150):
            if step == 120:  # a wider hidden layer
                for parameter in model.parameters():
                    optimizer.state.pop(parameter)
                model[0].weight.data = torch.randn(9, 3)
                model[0].bias.data = torch.zeros(9)
                model[1].weight.data = torch.randn(1, 9) / 3
            optimizer.zero_grad()
            loss = loss_of(model, step)
            loss.backward()
            if step == 130:
                model[0].bias.grad.fill_(torch.nan)
            optimizer.step()
            scheduler.step(loss.detach())
            del loss  # its graph remembers the sizes
    assert torch.isfinite(model[0].weight).all() == rollback
