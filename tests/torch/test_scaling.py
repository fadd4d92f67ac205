"""GradScaler, clipping and accumulation: what lies between a backward and its step."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import nalr.torch
from nalr._checks import NoiseWarning
from tests.torch.training import Training, effective

FLOAT32 = float(np.finfo(np.float32).eps)
KINDS = {
    "sgd": lambda t: torch.optim.SGD(t.model.parameters(), lr=0.01),
    "adamw": lambda t: torch.optim.AdamW(t.model.parameters(), lr=0.001, foreach=False),
    "fused": lambda t: torch.optim.AdamW(t.model.parameters(), lr=0.001, fused=True),
}
SCALE = 2.0**10  # a power of two: scaling itself rounds nothing


def scaler_of(scale: float = SCALE) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=10**6)


def train(
    kind: str,
    scaled: bool,
    microbatches: int = 1,
    max_norm: float | None = None,
    unscale: bool = False,
    give_scaler: bool = False,
    steps: int = 40,
    divide: bool = True,
):
    training = Training(KINDS[kind], batch=16)
    scaler = scaler_of() if scaled else None
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, scaler=scaler if give_scaler else None)
    seen = effective(training.optimizer)
    readings = []
    for step in range(steps):
        loss = training.backward(step, microbatches, divide, scaler)
        if scaler is not None and unscale:
            scaler.unscale_(training.optimizer)
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(training.model.parameters(), max_norm)
        if scaler is None:
            training.optimizer.step()
        else:
            scaler.step(training.optimizer)
            scaler.update()
        scheduler.step(loss)
        readings.append(scheduler.reading().total_variance)
    return np.array(seen)[:, 0], np.array(readings), scheduler


@pytest.mark.parametrize("microbatches", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_scaled_training_decides_as_unscaled(kind, microbatches):
    plain, readings, _ = train(kind, False, microbatches)
    for unscale in (False, True):
        scaled, scaled_readings, scheduler = train(kind, True, microbatches, unscale=unscale)
        np.testing.assert_allclose(scaled, plain, rtol=1e3 * FLOAT32)
        np.testing.assert_allclose(scaled_readings, readings, rtol=1e3 * FLOAT32)
        assert not scheduler.engine.measurement.clipped
    assert len(set(plain)) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaler_steps_the_wrapper_too(kind):
    rates = []
    for scaler in (None, scaler_of()):
        training = Training(KINDS[kind])
        wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
        for step in range(40):
            loss = training.backward(step, scaler=scaler)
            if scaler is None:
                wrapper.step(loss=loss)
                continue
            if step in (0, 9):  # left out, and made again
                poisoned(training, scaler, step, 1)
                scaler.step(wrapper, loss=torch.tensor(torch.nan))
                scaler.update(SCALE)
                loss = training.backward(step, scaler=scaler)
            scaler.step(wrapper, loss=loss)
            scaler.update()
        rates.append(wrapper.history.to_numpy()["lr"])
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e3 * FLOAT32)
    assert len(rates[1]) == 40 and not hasattr(wrapper, "found_inf")


def test_squares_of_scaled_gradients_are_off_by_the_square_of_the_scale():
    training, scaler, seen = Training(KINDS["sgd"]), scaler_of(), []
    for p in training.model.parameters():
        p.register_hook(lambda g: seen.append(float(g.square().sum())))
    training.backward(0, scaler=scaler)
    scaler.unscale_(training.optimizer)
    actual = sum(float(p.grad.square().sum()) for p in training.model.parameters())
    assert sum(seen) == pytest.approx(SCALE**2 * actual, rel=100 * FLOAT32)


@pytest.mark.parametrize("kind", ["sgd", "fused"])
def test_the_scaler_distinguishes_unscaling_from_clipping(kind):
    plain, readings, _ = train(kind, False, 4)
    _, clipped, scheduler = train(kind, True, 4, max_norm=0.3, unscale=True, give_scaler=True, steps=2)
    assert scheduler.engine.measurement.clipped
    np.testing.assert_allclose(clipped[0], readings[0], rtol=1e3 * FLOAT32)


def poisoned(training: Training, scaler, step: int, microbatches: int):
    loss = training.backward(step, microbatches, scaler=scaler)
    next(training.model.parameters()).grad[0] = torch.inf
    return loss


@pytest.mark.parametrize("zero", [True, False], ids=["grads to None", "grads to zero"])
@pytest.mark.parametrize("microbatches", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_skipped_step_changes_nothing(kind, microbatches, zero):
    runs = []
    for skips in (False, True):
        training, scaler = Training(KINDS[kind]), scaler_of()
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, rollback=True)
        for step in range(20):
            if skips and step in (0, 7, 8):
                poisoned(training, scaler, 100 + step, microbatches)
                before, parameters = copy.deepcopy(scheduler.state_dict()), training.everything()
                scaler.step(training.optimizer)
                scheduler.step(torch.tensor(torch.nan))
                after = scheduler.state_dict()
                assert same(before.pop("engine"), after.pop("engine"))
                assert all(map(torch.equal, parameters, training.everything()))
                scaler.update(SCALE)
                training.optimizer.zero_grad(set_to_none=zero)
            loss = training.backward(step, microbatches, scaler=scaler)
            scaler.step(training.optimizer)
            scaler.update()
            scheduler.step(loss)
        runs.append(
            (
                scheduler.history.to_numpy()["lr"],
                scheduler.reading().total_variance,
                scheduler.reading().source,
            )
        )
    assert (runs[0][0] == runs[1][0]).all() and runs[0][1:] == runs[1][1:]
    assert runs[0][2] == ("steps" if microbatches == 1 else "microbatches")


def same(first, second) -> bool:
    """Whether two states are equal, nan to nan; `given` may have been learnt."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first.nan_to_num(7.0), second.nan_to_num(7.0))
    if isinstance(first, dict):
        keys = set(first) - {"given"}
        return set(first) == set(second) and all(same(first[k], second[k]) for k in keys)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


@pytest.mark.parametrize("microbatches", [2, 4])
def test_clipping_does_not_change_what_is_read(microbatches):
    """Of one step: later ones differ, since clipped steps go elsewhere."""
    _, plain, _ = train("sgd", False, microbatches, steps=1)
    _, clipped, scheduler = train("sgd", False, microbatches, max_norm=0.01, steps=1)
    assert scheduler.engine.measurement.clipped and scheduler.measured_before_clipping
    np.testing.assert_allclose(clipped, plain, rtol=100 * FLOAT32)
    moments = scheduler.controller.estimator
    assert moments.total_variance > 1.0  # of a clipped gradient it would be below .01² · k²


def test_clipping_of_one_backward_is_undone_in_the_step_source_too():
    readings = []
    for max_norm in (None, 0.01):
        training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=1e-12))
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, max_lr=1e-12)
        for step in range(30):
            loss = training.backward(step)
            if max_norm:
                torch.nn.utils.clip_grad_norm_(training.model.parameters(), max_norm)
            training.optimizer.step()
            scheduler.step(loss)
        readings.append(scheduler.reading())
    assert readings[0].source == readings[1].source == "steps"
    assert readings[1].total_variance == pytest.approx(readings[0].total_variance, rel=1e-4)


def test_the_reading_is_that_of_rows_whether_losses_were_divided_or_not():
    """Rows are made so that their mean is the step's gradient: k times as long, k² the variance."""
    _, divided, _ = train("sgd", False, 4, steps=1)
    _, summed, _ = train("sgd", False, 4, steps=1, divide=False)
    np.testing.assert_allclose(summed, 16.0 * divided, rtol=100 * FLOAT32)
    training = Training(KINDS["sgd"])
    inputs, targets = training.data(0)
    rows = []
    for x, y in zip(inputs.chunk(4), targets.chunk(4), strict=True):
        loss = torch.nn.functional.mse_loss(training.model(x), y)
        grads = torch.autograd.grad(loss, list(training.model.parameters()))
        rows.append(torch.cat([g.reshape(-1) for g in grads]).double().numpy())
    expected = np.var(rows, axis=0, ddof=1).sum()
    assert divided[0] == pytest.approx(expected, rel=100 * FLOAT32)


def test_there_is_one_decision_a_step_and_none_in_the_middle():
    training = Training(KINDS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.backward(0, 4)
    assert scheduler.last_decision is None and scheduler.reading().count == 0
    training.optimizer.step()
    scheduler.step(1.0)
    assert scheduler.reading().count == 1 and scheduler.reading().num_rows == 4
    training.backward(1, 4)
    assert scheduler.reading().count == 1


def test_a_gradient_that_grew_before_the_step_gives_one_warning():
    training = Training(KINDS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    with pytest.warns(NoiseWarning, match="which is no clipping; noise is in the units of the step"):
        for step in range(3):
            loss = training.backward(step, 2)
            for p in training.model.parameters():
                p.grad.mul_(3.0)
            training.optimizer.step()
            scheduler.step(loss)


def test_gradients_taken_aside_are_not_counted():
    """`autograd.grad`, of a penalty or a probe, comes by the same hooks."""
    training = Training(KINDS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.backward(0, 2)
    torch.autograd.grad(training.loss(5), list(training.model.parameters()))
    training.optimizer.step()
    assert scheduler.engine._first.moments.num_rows == 2
