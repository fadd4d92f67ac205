"""The problems of the race: each is what the table says, and its gradients belong to its losses."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from nalr_bench.race.problems import catalog, data_sets
from nalr_bench.race.problems.catalog import ENTRIES
from nalr_bench.race.problems.changing import batch_size_change, drift, jump, noisier
from nalr_bench.race.problems.entry import GROUPS, HELD_OUT, TUNING
from nalr_bench.race.problems.factorization import factorization
from nalr_bench.race.problems.learning import words
from nalr_bench.race.problems.passes import Passes
from nalr_bench.race.problems.quadratics import easy, negative_loss
from nalr_bench.race.problems.rugged import rugged

FAMILIES = ("quadratic", "rugged", "valley", "learning", "network", "changing")
HERE = [entry for entry in ENTRIES.values() if entry.family != "network"]  # those have tests of their own
every_problem = pytest.mark.parametrize("entry", HERE, ids=lambda entry: entry.name)


def draws(problem, seed, count=3):
    """The start of a run and its first minibatches, all taken at the start."""
    params = problem.start(seed)
    return params, [problem.sample(params) for _ in range(count)]


# -- the table --------------------------------------------------------------------------------------


def test_names_are_unique_and_rows_are_well_formed():
    assert list(ENTRIES) == [row.name for row in catalog._ROWS]  # no name stands twice
    for name, entry in ENTRIES.items():
        assert entry.name == name
        assert entry.group in GROUPS and entry.family in FAMILIES
        assert entry.natural_sgd > 0.0 and entry.natural_adamw > 0.0
        assert entry.judged_escape == (entry.family == "rugged")


def test_a_third_at_least_is_held_out():
    held_out = sum(entry.group == HELD_OUT for entry in ENTRIES.values())
    assert 3 * held_out >= len(ENTRIES)


def test_every_family_chooses_constants_and_all_judge_them():
    for family in FAMILIES:
        groups = {entry.group for entry in ENTRIES.values() if entry.family == family}
        assert groups == {TUNING, HELD_OUT}


def test_the_table_loads_without_torch_and_without_scikit_learn():
    code = (
        "import sys, nalr_bench.race.problems.catalog; "
        "print([name for name in ('torch', 'sklearn') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# -- every problem ----------------------------------------------------------------------------------


@every_problem
def test_problem_has_the_name_of_its_row_and_the_length_asked_for(entry):
    problem = entry.make(300)
    assert problem.name == entry.name
    assert problem.num_steps == 300
    assert entry.make(None).num_steps == 2000
    assert problem.epsilon > 0.0 and problem.title


@every_problem
def test_same_seed_gives_the_same_stream_also_through_pickle(entry):
    problem = entry.make(300)
    copy = pickle.loads(pickle.dumps(entry)).make(300)
    copy.start(seed=9)
    copy.sample(copy.start(seed=1))
    copy = pickle.loads(pickle.dumps(copy))
    params, seen = draws(problem, seed=5)
    for other in (copy, problem):
        again, seen_again = draws(other, seed=5)
        np.testing.assert_array_equal(again, params)
        for (loss, rows), (loss_again, rows_again) in zip(seen, seen_again, strict=True):
            assert loss == loss_again
            np.testing.assert_array_equal(rows, rows_again)


@every_problem
def test_different_seeds_give_different_streams(entry):
    if entry.name == "quadratic-noise-free":
        pytest.skip("it has nothing random")
    problem = entry.make(300)
    (params, seen), (other, seen_other) = draws(problem, seed=0), draws(problem, seed=1)
    assert not (
        np.array_equal(params, other)
        and all(np.array_equal(a[1], b[1]) for a, b in zip(seen, seen_other, strict=True))
    )


@every_problem
def test_a_pickled_problem_is_small(entry):
    problem = entry.make(300)
    problem.start(seed=0)
    assert len(pickle.dumps(problem)) < 250_000  # rotations of 100 parameters; no data sets


@every_problem
def test_mean_of_rows_is_the_gradient_of_the_minibatch_loss(entry, rng):
    problem = entry.make(300)
    start = problem.start(seed=2)
    params = start + 0.01 * np.sqrt(entry.natural_sgd) * rng.standard_normal(start.size)
    loss, rows = problem.sample(params)
    assert rows.dtype == np.float64 and rows.ndim == 2 and rows.shape[1] == start.size

    def loss_at(point):
        problem.start(seed=2)
        return problem.sample(point)[0]

    gradient = rows.mean(axis=0)
    # √(natural rate) is the length over which curvature bends the loss by about 1: a 1e-4th of it leaves
    # third derivatives 1e-8 and rounding 1e-16/1e-4 = 1e-12 times the loss.
    length = 1e-4 * np.sqrt(entry.natural_sgd)
    for _ in range(4):
        direction = rng.standard_normal(start.size)
        direction /= np.linalg.norm(direction)
        slope = (loss_at(params + length * direction) - loss_at(params - length * direction)) / (2 * length)
        scale = np.linalg.norm(gradient) + abs(loss)
        assert gradient @ direction == pytest.approx(slope, abs=1e-5 * scale)


@pytest.mark.slow
@every_problem
def test_a_short_step_against_the_mean_gradient_goes_down(entry):
    problem = entry.make(300)
    params = problem.start(seed=0)
    mean = np.mean([problem.sample(params)[1].mean(axis=0) for _ in range(60)], axis=0)
    before, after = problem.full_loss(params), problem.full_loss(params - 1e-3 * entry.natural_sgd * mean)
    assert 0.0 < after < before < np.inf


@every_problem
def test_a_run_that_ran_away_gives_no_warning(entry):
    problem = entry.make(300)
    params = problem.start(seed=0)
    with np.errstate(all="ignore"):  # as the bench does around a run
        loss, rows = problem.sample(np.full_like(params, 1e200))
        problem.full_loss(np.full_like(params, 1e200))
    assert rows.shape[1] == params.size and isinstance(loss, float)


# -- single ones ------------------------------------------------------------------------------------


def test_passes_show_each_sample_once_and_skip_the_rest():
    passes = Passes(num_samples=10, batch_size=3, seed=0)
    for _ in range(4):
        seen = np.concatenate([passes.draw() for _ in range(3)])
        assert np.unique(seen).size == 9


def test_minibatch_losses_of_a_pass_average_to_the_full_loss():
    problem = ENTRIES["logistic-digits"].make(None)
    params = problem.start(seed=0) + 0.01 * np.random.default_rng(0).standard_normal(650)
    losses = [problem.sample(params)[0] for _ in range(1437 // 32)]
    # 29 of 1437 samples are skipped, which changes a mean of order 2 by some 2 % of the samples' spread.
    assert np.mean(losses) == pytest.approx(problem.full_loss(params) + problem.minimum, rel=0.01)


def test_standardised_data_are_and_keep_their_bias():
    features = data_sets.cancer_scaled().features
    np.testing.assert_allclose(features[:, :-1].mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(features[:, :-1].std(axis=0), 1.0, rtol=1e-12)
    assert (features[:, -1] == 1.0).all()
    assert np.isfinite(data_sets.images_scaled().features).all()  # some pixels are constant


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic-digits", "logistic-digits-scaled"])
def test_the_minimum_of_softmax_regression_is_what_the_problem_says(name):
    problem = ENTRIES[name].make(None)
    features, labels = problem.load()

    def excess_and_gradient(params):
        logits = features @ params.reshape(-1, 10)
        errors = np.exp(logits - logits.max(axis=1, keepdims=True))
        errors /= errors.sum(axis=1, keepdims=True)
        errors[np.arange(labels.size), labels] -= 1.0
        gradient = features.T @ errors / labels.size
        return problem.full_loss(params), gradient.ravel() + 1e-3 * params

    found = minimize(excess_and_gradient, problem.start(seed=0), jac=True, method="L-BFGS-B")
    assert 0.0 <= found.fun < 1e-4  # the ridge 1e-3 bounds it by |gradient|²/0.002, and `ftol` allows that
    assert found.fun <= np.sum(found.jac**2) / 2e-3 + 1e-10


def test_breast_cancer_is_separable_so_that_its_infimum_is_zero():
    features, labels = data_sets.cancer_scaled()
    signs = 2.0 * labels - 1.0
    margins = -signs[:, None] * features
    found = linprog(np.zeros(31), A_ub=margins, b_ub=-np.ones(labels.size), bounds=(None, None))
    assert found.status == 0  # a plane with every margin at least 1


def test_sparse_rows_are_sparse_and_the_best_fit_has_loss_zero():
    problem = words()
    _, rows = problem.sample(problem.start(seed=0))
    assert (rows != 0.0).mean() < 0.1
    features, values = data_sets.bags_of_words()
    best = np.linalg.lstsq(features, values, rcond=None)[0]
    assert problem.full_loss(best) == pytest.approx(0.0, abs=1e-20)
    other = best + 0.1
    excess = 0.5 * ((features @ other - values) ** 2).mean() - 0.5 * ((features @ best - values) ** 2).mean()
    assert problem.full_loss(other) == pytest.approx(excess, rel=1e-10)


def test_factorization_starts_at_a_saddle_and_ends_at_zero():
    problem = factorization()
    left, size, right = np.linalg.svd(problem.matrix)
    root = np.sqrt(size[:4])
    best = np.concatenate([(left[:, :4] * root).ravel(), (right[:4].T * root).ravel()])
    assert problem.full_loss(best) == pytest.approx(0.0, abs=1e-25)
    problem.start(seed=0)
    assert not problem.sample(np.zeros(200))[1].any()


def test_leaps_come_after_each_quarter_but_the_last():
    problem = jump(300)
    params = problem.start(seed=0)
    path = [problem.landscape.optimum]
    for _ in range(300):
        problem.sample(params)
        path.append(problem.landscape.optimum)
    leaps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_array_equal(np.flatnonzero(leaps), [75, 151, 227])
    np.testing.assert_allclose(leaps[leaps > 0.0], 5.0)


def test_drift_goes_away_from_the_start_whatever_the_length():
    for steps in (100, 300):
        problem = drift(steps)
        params = problem.start(seed=0)
        for _ in range(steps):
            problem.sample(params)
        np.testing.assert_allclose(problem.landscape.optimum, -4.0, rtol=1e-12)
        assert problem.metrics(params)["distance"] == pytest.approx(7.0 * np.sqrt(10.0))


def test_batch_sizes_change_in_thirds_and_a_new_run_begins_anew():
    problem = batch_size_change(9)
    for _ in range(2):
        params = problem.start(seed=0)
        sizes = [len(problem.sample(params)[1]) for _ in range(10)]
        assert sizes == [4, 4, 4, 64, 64, 64, 8, 8, 8, 8]


def test_noise_is_four_times_stronger_in_the_second_half():
    problem = noisier(400)
    params = problem.start(seed=0)
    spread = [problem.sample(params)[1].std(axis=0).mean() for _ in range(400)]
    # 200 means of 10 standard deviations of 16 rows: 0.4 % each, 5 % is far outside.
    assert np.mean(spread[200:]) / np.mean(spread[:200]) == pytest.approx(4.0, rel=0.05)


def test_negative_loss_is_the_easy_bowl_lowered():
    lowered, plain = negative_loss(), easy()
    (params, seen), (_, seen_plain) = draws(lowered, seed=0), draws(plain, seed=0)
    for (loss, rows), (plain_loss, plain_rows) in zip(seen, seen_plain, strict=True):
        assert loss == plain_loss - 50.0 < 0.0
        np.testing.assert_array_equal(rows, plain_rows)
    assert lowered.full_loss(params) == plain.full_loss(params) > 0.0


def test_rugged_problems_are_solved_in_the_middle_divot_alone():
    problem = rugged(dim=2, noise_scale=0.5)
    assert problem.name == "rugged-2d-noise-.5"
    assert problem.solved(np.array([0.3, -0.3])) is True
    assert problem.solved(np.array([0.3, 0.4])) is False
