from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from nalr import NoiseEstimator, create_noisy_landscape
from nalr.arrays.gradients import as_rows
from nalr.moments.rows import RowAccumulator
from nalr.noise.reading import NoiseStatus
from tests.noise.helpers import same, settled


def test_order_matters_average_first_then_clamp():
    # |G|² = .0025 and tr Σ = 50 in 50 dimensions, four rows a step.
    rng = np.random.default_rng(3)
    dimension, steps = 50, 4000
    mean = math.sqrt(0.0025 / dimension)
    estimator = NoiseEstimator(decay=0.9999)
    clamped, naive = [], []
    for _ in range(steps):
        rows = mean + rng.normal(size=(4, dimension))
        estimator.update(rows)
        norm = float((rows.mean(axis=0) ** 2).sum())
        clamped.append(max(norm - rows.var(axis=0, ddof=1).sum() / 4, 0.0))
        naive.append(norm)
    error = np.std(naive) / math.sqrt(steps)
    assert estimator.reading().signal == pytest.approx(0.0025, abs=4.0 * error)
    assert np.mean(clamped) > 400 * 0.0025
    assert np.mean(naive) > 1000 * 0.0025


def test_total_variance_and_signal_of_a_landscape_are_unbiased():
    landscape = create_noisy_landscape(dim=8, noise_scale=0.7, seed=5)
    params = np.full(8, 0.3)
    estimator = NoiseEstimator(decay=0.9999)
    for _ in range(3000):
        estimator.update(landscape.sample_gradients(params, 8))
    reading = estimator.reading()
    assert reading.total_variance == pytest.approx(8 * 0.49, rel=0.02)
    low, high = reading.signal_interval
    assert low <= float(landscape.gradient(params) @ landscape.gradient(params)) <= high
    assert reading.gradient_noise_scale == pytest.approx(8 * 0.49 / (8 * 0.09), rel=0.05)
    assert reading.status is NoiseStatus.OK
    assert reading.source == "rows"


def test_rows_without_replacement_need_the_population_correction(rng):
    data = 0.1 + rng.normal(size=(64, 20))
    truth = float((data.mean(axis=0) ** 2).sum())
    corrected, raw = NoiseEstimator(decay=0.9999, population=64), NoiseEstimator(decay=0.9999)
    for _ in range(3000):
        rows = data[rng.permutation(64)[:16]]
        corrected.update(rows)
        raw.update(rows)
    low, high = corrected.reading().signal_interval
    assert low <= truth <= high
    assert raw.signal + data.var(axis=0, ddof=1).sum() / 64 == pytest.approx(
        corrected.reading().signal, rel=0.01
    )
    assert raw.reading().signal_interval[1] < truth


def test_signal_fraction_is_the_share_of_the_mean_gradient_that_is_signal(rng):
    reading = settled(rng, rows=16, dimension=30, mean=0.2, decay=0.999).reading()
    assert reading.signal_fraction == pytest.approx(1.2 / (1.2 + 30 / 16), rel=0.05)


def test_moments_made_elsewhere_give_the_same_reading(rng):
    direct, remote = NoiseEstimator(decay=0.9), NoiseEstimator(decay=0.9)
    for _ in range(30):
        rows = rng.normal(size=(5, 6))
        direct.update(rows)
        accumulator = RowAccumulator()
        accumulator.add_rows(as_rows("rows", rows))
        remote.update_moments(accumulator.moments())
    assert remote.reading() == direct.reading()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_steps_that_are_not_finite_take_no_part(rng, bad):
    clean, dirty = NoiseEstimator(), NoiseEstimator()
    for step in range(12):
        rows = rng.normal(size=(4, 3))
        clean.update(rows)
        dirty.update(rows)
        if step == 5:
            broken = rows.copy()
            broken[2, 1] = bad
            assert dirty.update(broken).reading().status is NoiseStatus.SKIPPED
    assert dirty.reading().nonfinite == 1
    assert dirty.reading().total_variance == clean.reading().total_variance


def test_groups_read_like_estimators_of_their_columns(rng):
    whole = NoiseEstimator(groups={"first": slice(0, 3), "rest": slice(3, None)})
    alone = NoiseEstimator()
    for _ in range(20):
        rows = rng.normal(size=(4, 8)) * ([1.0] * 3 + [5.0] * 5)
        whole.update(rows)
        alone.update(rows[:, 3:])
    groups = whole.reading().groups
    assert groups["rest"] == alone.reading()
    assert groups["first"].noise_scale == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize("cut", [0, 1, 9, 40])
@pytest.mark.parametrize("rows", [1, 4])
def test_resume_is_exact_at_any_cut(rng, cut, rows):
    steps = [rng.normal(size=(rows, 5)) for _ in range(60)]
    settings = {"per_coordinate": True, "groups": {"a": slice(0, 2)}}
    whole, half = NoiseEstimator(**settings), NoiseEstimator(**settings)
    for step in steps:
        whole.update(step)
    for step in steps[:cut]:
        half.update(step)
    resumed = NoiseEstimator(**settings)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    for step in steps[cut:]:
        resumed.update(step)
    assert same(resumed.state_dict(), whole.state_dict())


def test_reset_forgets_everything_but_the_settings(rng):
    estimator = settled(rng, decay=0.9)
    estimator.reset()
    assert same(estimator.state_dict(), NoiseEstimator(decay=0.9).state_dict())
