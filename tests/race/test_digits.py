"""Digits and landscapes as problems of the race."""

from __future__ import annotations

import math
import pickle
import sys

import numpy as np
import pytest

from nalr.landscapes import create_noisy_landscape
from nalr_bench.demo.problems import DIGITS
from nalr_bench.race.engine.run import Start, run
from nalr_bench.race.methods.schedules import Scheduled
from nalr_bench.race.problems.digits import NUM_PARAMETERS, DigitsMLP, load_digits, loss_and_rows
from nalr_bench.race.problems.problem import LandscapeProblem


def bowl(curvature=1.0, *, noise_scale=0.0, num_steps=100, **settings):
    landscape = create_noisy_landscape(dim=2, noise_scale=noise_scale, spectrum=[curvature] * 2, seed=0)
    return LandscapeProblem(
        "bowl", "A bowl", landscape, batch_size=4, num_steps=num_steps, epsilon=1e-6, **settings
    )


# -- digits ---------------------------------------------------------------------------------------


def test_digits_gradient_agrees_with_finite_differences(rng):
    problem = DigitsMLP(batch_size=32)
    params = problem.start(seed=3) + 0.01 * rng.standard_normal(NUM_PARAMETERS)  # biases off zero too
    digits = load_digits()
    images, labels = digits.train_images[:32], digits.train_labels[:32]
    gradient = loss_and_rows(params, images, labels, 1)[1].mean(axis=0)
    # Steps of 1e-6: rounding 1e-16/1e-6 = 1e-10, curvature 1e-12. A ReLU that changes side would show,
    # and none does for these seeds.
    for coordinate in [0, 1000, 2047, 2048, 2060, 2079, 2080, 2300, 2399, 2400, 2409]:
        step = np.zeros(NUM_PARAMETERS)
        step[coordinate] = 1e-6
        ahead = loss_and_rows(params + step, images, labels, 1)[0]
        behind = loss_and_rows(params - step, images, labels, 1)[0]
        assert gradient[coordinate] == pytest.approx((ahead - behind) / 2e-6, abs=1e-8)
    for _ in range(5):
        direction = rng.standard_normal(NUM_PARAMETERS) / math.sqrt(NUM_PARAMETERS)
        ahead = loss_and_rows(params + 1e-6 * direction, images, labels, 1)[0]
        behind = loss_and_rows(params - 1e-6 * direction, images, labels, 1)[0]
        assert gradient @ direction == pytest.approx((ahead - behind) / 2e-6, abs=1e-8)


def test_each_digits_row_is_the_gradient_of_its_own_sample():
    params = DigitsMLP().start(seed=0)
    digits = load_digits()
    images, labels = digits.train_images[:6], digits.train_labels[:6]
    loss, rows = loss_and_rows(params, images, labels, 1)
    alone = [loss_and_rows(params, images[k : k + 1], labels[k : k + 1], 1) for k in range(6)]
    np.testing.assert_allclose(rows, np.concatenate([each[1] for each in alone]), rtol=0, atol=1e-14)
    assert loss == pytest.approx(np.mean([each[0] for each in alone]), rel=1e-14)


def test_microbatch_rows_are_means_of_sample_rows():
    samples, micro = DigitsMLP(batch_size=32), DigitsMLP(batch_size=32, microbatch_size=8)
    params = samples.start(seed=1)
    micro.start(seed=1)
    loss, rows = samples.sample(params)
    micro_loss, micro_rows = micro.sample(params)
    assert micro_loss == loss
    np.testing.assert_allclose(micro_rows, rows.reshape(4, 8, -1).mean(axis=1), rtol=0, atol=1e-14)


def test_digits_full_loss_is_the_mean_over_the_training_set_and_tests_are_apart():
    problem, digits = DigitsMLP(), load_digits()
    params = problem.start(seed=0)
    whole = loss_and_rows(params, digits.train_images, digits.train_labels, 1)[0]
    assert problem.full_loss(params) == pytest.approx(whole, rel=1e-12)
    assert (digits.train_images.shape, digits.test_images.shape) == ((1437, 64), (360, 64))
    assert digits.train_images.min() == 0.0 and digits.train_images.max() == 1.0
    seen = {image.tobytes() for image in digits.train_images}
    assert not any(image.tobytes() in seen for image in digits.test_images)


def test_digits_pass_shows_each_sample_once():
    problem = DigitsMLP(batch_size=479)  # three batches are the whole set
    params = problem.start(seed=0)
    losses = [problem.sample(params)[0] for _ in range(3)]
    assert np.mean(losses) == pytest.approx(problem.full_loss(params), rel=1e-12)


def test_digits_network_learns():
    result = run(Start(DIGITS, Scheduled("sgd", "linear"), 0.5, seed=0, num_steps=300))
    assert result.metrics["test_accuracy"] > 0.9
    assert result.final_loss < 0.2


def test_digits_pickle_without_their_data():
    assert len(pickle.dumps(DigitsMLP())) < 1000


def test_digits_refuse_microbatches_that_do_not_divide():
    with pytest.raises(ValueError, match=r"`microbatch_size` must divide 32, got 5\."):
        DigitsMLP(batch_size=32, microbatch_size=5)


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    load_digits.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r'pip install "nalr\[demo\]"'):
        load_digits()


# -- landscapes as problems -----------------------------------------------------------------------


def test_drawn_starts_keep_their_distance_and_take_every_side():
    problem = bowl(start_distance=4.0)
    starts = np.array([problem.start(seed) for seed in range(200)])
    assert np.abs(starts).min() >= 3.2 and np.abs(starts).max() <= 4.8
    sides = {tuple(side) for side in np.sign(starts)}
    assert len(sides) == 4
    np.testing.assert_array_equal(problem.start(7), starts[7])


def test_solved_means_inside_the_basin_in_every_coordinate():
    problem = bowl(basin=0.3)
    assert problem.solved(np.array([0.29, -0.29])) is True
    assert problem.solved(np.array([0.0, 0.31])) is False
    assert bowl().solved(np.zeros(2)) is None


def test_full_loss_counts_from_the_minimum():
    landscape = create_noisy_landscape(dim=2, kind="double_well")  # its minimum is below zero
    problem = LandscapeProblem("wells", "Wells", landscape, batch_size=1, num_steps=1, epsilon=1e-6)
    assert problem.full_loss(landscape.optimum) == 0.0
    assert problem.full_loss(landscape.start) > 0.0
