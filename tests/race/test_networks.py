"""The race's networks: rows that mean what they say, from one seed, and worth training."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from nalr_bench.race.problems.convolutions import conv_net  # noqa: E402
from nalr_bench.race.problems.transformer import char_transformer  # noqa: E402

MAKERS = pytest.mark.parametrize("make", [conv_net, char_transformer])
SINGLE = 2e-5  # the networks compute in float32; sums of some hundred terms


@MAKERS
def test_rows_are_the_gradients_of_their_microbatches(make):
    problem = make(10)
    params = problem.start(3)
    problem.start(3)
    loss, rows = problem.sample(params)
    problem.start(3)
    inputs, targets = problem._draw()
    each = len(inputs) // 4
    losses = []
    for k, row in enumerate(rows):
        single = torch.from_numpy(params).float().requires_grad_()
        part = slice(k * each, (k + 1) * each)
        own = problem._loss(single[None], inputs[part], targets[part])
        (gradient,) = torch.autograd.grad(own, single)
        assert np.abs(row - gradient.numpy()).max() < SINGLE * np.abs(row).max()
        losses.append(own.item())
    assert loss == pytest.approx(np.mean(losses), rel=SINGLE)
    whole = torch.from_numpy(params).float().requires_grad_()
    (gradient,) = torch.autograd.grad(problem._loss(whole[None], inputs, targets), whole)
    assert np.abs(rows.mean(axis=0) - gradient.numpy()).max() < SINGLE * np.abs(rows).max()


@MAKERS
def test_rows_agree_with_differences_of_the_loss_in_double(make, rng):
    problem = make(10)
    start = problem.start(0)
    # Biases begin at 0 and many pixels are 0: units are exactly at their kink, where differences say nothing.
    params = torch.from_numpy(start + 0.1 * rng.normal(size=start.size))
    inputs, targets = problem._draw()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    params.requires_grad_()
    (gradient,) = torch.autograd.grad(problem._loss(params[None], inputs, targets), params)
    direction = torch.from_numpy(rng.normal(size=params.numel()))
    direction /= direction.norm()
    with torch.no_grad():
        ahead, behind = (
            problem._loss((params + side * direction)[None], inputs, targets) for side in (1e-6, -1e-6)
        )
    assert ((ahead - behind) / 2e-6).item() == pytest.approx((gradient @ direction).item(), rel=1e-5)


@MAKERS
def test_a_seed_fixes_the_stream_and_another_changes_it(make):
    def stream(seed):
        problem = pickle.loads(pickle.dumps(make()))
        params = problem.start(seed)
        return params, [problem.sample(params) for _ in range(3)]

    params, samples = stream(5)
    again, same = stream(5)
    other, different = stream(6)
    assert (params == again).all() and (params != other).any()
    for (loss, rows), (loss_again, rows_again) in zip(samples, same, strict=True):
        assert loss == loss_again and (rows == rows_again).all()
    assert samples[0][0] != samples[1][0] and samples[0][0] != different[0][0]


@MAKERS
def test_what_goes_in_and_out_is_double_and_left_alone(make):
    problem = make(7)
    params = problem.start(0)
    before = params.copy()
    threads = torch.get_num_threads()
    loss, rows = problem.sample(params)
    assert rows.shape == (4, params.size) and rows.dtype == params.dtype == np.float64
    assert isinstance(loss, float) and isinstance(problem.full_loss(params), float)
    assert (params == before).all() and torch.get_num_threads() == threads
    assert problem.num_steps == 7 and make().num_steps == make().default_steps
    assert problem.solved(params) is None
    problem.sample(np.full_like(params, 1e300))  # overflows to inf and nan, not to an error


@pytest.mark.parametrize(
    "make, rate, first, last", [(conv_net, 0.2, np.log(10), 1.5), (char_transformer, 0.5, np.log(96), 3.4)]
)
def test_a_hundred_steps_of_descent_help(make, rate, first, last):
    problem = make()
    params = problem.start(1)
    assert abs(problem.full_loss(params) - first) < 0.3
    for _ in range(100):
        params -= rate * problem.sample(params)[1].mean(axis=0)
    assert problem.full_loss(params) < last
