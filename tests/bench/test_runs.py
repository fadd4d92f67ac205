"""The bench: problems are what they say, runs survive anything, tuning finds what is best."""

from __future__ import annotations

import ast
import math
import operator
import pickle
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import nalr_bench.console
from nalr.landscapes import create_noisy_landscape
from nalr_bench.adaptive import Adaptive
from nalr_bench.parallel import Workers
from nalr_bench.race.problems.digits import NUM_PARAMETERS, DigitsMLP, load_digits, loss_and_rows
from nalr_bench.race.problems.problem import LandscapeProblem
from nalr_bench.runs import Task, execute, train
from nalr_bench.schedules import Constant, LinearToZero
from nalr_bench.tuning import geometric_grid, geometric_mean, tune


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
    run = train(DigitsMLP(num_steps=300), LinearToZero(0.5), seed=0)
    assert run.metrics["test_accuracy"] > 0.9
    assert run.final_loss < 0.2


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


# -- runs -----------------------------------------------------------------------------------------


def test_a_run_is_plain_descent():
    run = train(bowl(curvature=0.5, num_steps=40), Constant(0.2), seed=0, record=True)
    shrunk = 3.0 * 0.9 ** np.arange(41)  # 1 − lr · curvature = 0.9
    np.testing.assert_allclose(run.curves.trajectory, np.column_stack([shrunk, shrunk]), rtol=1e-12)
    losses = 0.5 * shrunk**2  # two coordinates, each ½ · 0.5 · x²
    np.testing.assert_allclose(run.curves.losses, losses[:-1], rtol=1e-12)
    np.testing.assert_allclose(run.curves.full_losses, losses[1:][run.curves.full_loss_steps], rtol=1e-12)
    assert run.final_loss == pytest.approx(losses[-2:].mean(), rel=1e-12)  # the last 5 % of 40
    assert run.metrics["distance"] == pytest.approx(math.sqrt(2.0) * shrunk[-1], rel=1e-12)
    assert not run.diverged and run.solved is None


def test_linear_rates_fall_to_zero_one_step_after_the_last():
    run = train(bowl(num_steps=5), LinearToZero(1.0), seed=0, record=True)
    np.testing.assert_allclose(run.curves.lrs, [1.0, 0.8, 0.6, 0.4, 0.2], rtol=1e-15)


def test_same_seed_same_run_and_another_seed_another():
    problem = bowl(noise_scale=1.0)
    first, again, other = (train(problem, Adaptive(0.1), seed) for seed in (3, 3, 4))
    assert first == again
    assert first.final_loss != other.final_loss


def test_recording_does_not_change_a_run():
    problem = bowl(noise_scale=1.0)
    plain, recorded = train(problem, Adaptive(0.1), 0), train(problem, Adaptive(0.1), 0, record=True)
    assert plain.curves is None
    assert plain.final_loss == recorded.final_loss
    history = recorded.curves.history
    np.testing.assert_allclose(history["lr"], recorded.curves.lrs, rtol=0, atol=0)
    np.testing.assert_allclose(history["loss"], recorded.curves.losses, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["quadratic", "rosenbrock", "rugged"])
def test_an_overflowing_run_is_reported_without_a_warning(kind):
    landscape = create_noisy_landscape(dim=2, kind=kind, seed=0)
    problem = LandscapeProblem(kind, kind, landscape, batch_size=2, num_steps=2000, epsilon=1e-3, basin=0.1)
    run = train(problem, Constant(1e300), seed=0, record=True)
    assert run.diverged and run.final_loss == math.inf
    assert run.solved is False and run.metrics == {}
    assert len(run.curves.lrs) < 2000


def test_an_overflowing_network_is_reported_without_a_warning():
    run = train(DigitsMLP(num_steps=100), Constant(1e200), seed=0)
    assert run.diverged and run.final_loss == math.inf and run.metrics == {}


def test_a_run_that_ran_away_without_overflow_has_diverged():
    run = train(bowl(num_steps=20), Constant(3.0), seed=0)  # doubles at each step
    assert run.diverged and run.final_loss == math.inf


class PythonFloats:
    """A problem that overflows by exception, as Python's own floats do."""

    name, title, num_steps, epsilon = "python", "Python floats", 50, 1e-3

    def start(self, seed):
        return np.array([2.0])

    def sample(self, params):
        return math.exp(float(params[0])), np.array([[-math.exp(float(params[0]))]])

    def full_loss(self, params):
        return math.exp(float(params[0]))

    def metrics(self, params):
        return {}

    def solved(self, params):
        return None


def test_an_overflow_by_exception_is_a_divergence():
    run = train(PythonFloats(), Constant(10.0), seed=0)
    assert run.diverged and run.final_loss == math.inf


# -- workers --------------------------------------------------------------------------------------


def test_results_do_not_depend_on_jobs():
    noisy = bowl(noise_scale=1.0)
    digits = DigitsMLP(num_steps=30)
    tasks = [Task(noisy, Adaptive(0.01), seed) for seed in range(3)]
    tasks += [Task(digits, rule, 5) for rule in (Constant(0.1), Adaptive(0.1))]
    calls = []
    with Workers(jobs=2) as workers:
        spread = workers.map(execute, tasks, lambda: calls.append(1))
        tuned = tune(noisy, Constant, (0.01, 0.1, 1.0), (0, 1), workers=workers)
        with pytest.raises(ValueError, match="math domain error"):
            workers.map(math.sqrt, [1.0, -1.0])
    with Workers(jobs=1) as workers:
        alone = workers.map(execute, tasks)
        assert tune(noisy, Constant, (0.01, 0.1, 1.0), (0, 1), workers=workers) == tuned
    assert spread == alone
    assert len(calls) == len(tasks)


def test_the_first_exception_ends_the_work():
    with Workers(jobs=1) as workers, pytest.raises(ZeroDivisionError):
        workers.map(partial(operator.truediv, 1.0), [1.0, 0.0])


def test_workers_refuse_no_jobs():
    with pytest.raises(ValueError, match=r"`jobs` must be a whole number of at least 1, got 0\."):
        Workers(jobs=0)


# -- tuning ---------------------------------------------------------------------------------------


def test_tuning_finds_the_best_rate_of_a_known_bowl():
    # Descent on ½ c x² is fastest at lr = 1/c: c = 4 is solved in one step at 0.25.
    grid = (0.0625, 0.125, 0.25, 0.375, 0.5)
    calls = []
    with Workers(jobs=1) as workers:
        tuned = tune(
            bowl(curvature=4.0, num_steps=10),
            Constant,
            grid,
            (0, 1, 2),
            workers=workers,
            progress=lambda: calls.append(1),
        )
    assert tuned.rule == Constant(0.25)
    assert tuned.score == pytest.approx(1e-6, rel=1e-9)  # loss 0 and epsilon
    assert tuned.scores[-1][1] == pytest.approx(36.0, rel=1e-6)  # at 2/c it swings for ever
    assert not tuned.at_edge
    assert len(tuned.runs) == 3 and len(calls) == 15


def test_a_best_rate_at_the_edge_is_told():
    with Workers(jobs=1) as workers:
        tuned = tune(bowl(num_steps=5), Constant, (0.01, 0.1), (0,), workers=workers)
    assert tuned.rule.base_lr == 0.1 and tuned.at_edge


def test_diverged_runs_lose_the_tuning():
    with Workers(jobs=1) as workers:
        tuned = tune(bowl(num_steps=2000), Constant, (0.1, 10.0), (0,), workers=workers)
    assert tuned.rule.base_lr == 0.1
    assert tuned.scores[1][1] == math.inf


def test_geometric_grid_ends_where_it_should():
    np.testing.assert_allclose(geometric_grid(1e-3, 10.0, 4), np.logspace(-3, 1, 17), rtol=1e-12)
    assert geometric_grid(0.5, 0.5, 3) == (0.5,)
    with pytest.raises(ValueError, match=r"`high` must be a whole number of factors 10\^\(1/2\) above 1\.0"):
        geometric_grid(1.0, 5.0, 2)


def test_geometric_mean_is_not_decided_by_one_zero():
    assert geometric_mean([0.0, 1.0], epsilon=0.01) == pytest.approx(math.sqrt(0.01 * 1.01), rel=1e-12)
    assert geometric_mean([1.0, math.inf], epsilon=0.01) == math.inf


@pytest.mark.parametrize("rule", [Constant, LinearToZero, Adaptive])
def test_rules_refuse_rates_that_are_not_positive(rule):
    with pytest.raises(ValueError, match=r"`base_lr` must be positive and finite, got 0\.0\."):
        rule(0.0)


def test_the_bench_draws_nothing_outside_its_console():
    for path in set(Path(nalr_bench.__file__).parent.glob("*.py")) - {Path(nalr_bench.console.__file__)}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(("matplotlib", "tqdm", "nalr.plotting", "nalr_bench.demo")), (
                    path.name
                )
