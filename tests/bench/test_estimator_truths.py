"""The truths of the simulation are exact, and its draws are as described."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nalr import NoiseEstimator
from nalr_bench.estimators import many_steps, sampling, truth
from nalr_bench.estimators.bias import POPULATION, RATIOS, Shifted
from nalr_bench.estimators.cell import tasks
from nalr_bench.estimators.correlated import CorrelatedSteps
from nalr_bench.estimators.finding import findings
from nalr_bench.estimators.hutchinson import SPECTRA, hessian
from nalr_bench.estimators.many_steps import Epochs, IndependentSteps

EPS = float(np.finfo(np.float32).eps)


# -- truths -------------------------------------------------------------------------------------------


def test_the_truth_of_a_population_is_that_of_numpy():
    rows = sampling.population(12, 5) + np.float32(0.25)
    exact = rows.astype(np.longdouble)
    for replacement in (False, True):
        found = truth.of_population(rows, replacement=replacement)
        assert found.signal == pytest.approx(float(np.sum(exact.mean(axis=0) ** 2)), rel=1e-14)
        expected = np.cov(rows.astype(float), rowvar=False, ddof=0 if replacement else 1).trace()
        assert found.total_variance == pytest.approx(expected, rel=1e-13)


def test_all_samples_without_replacement_average_to_the_truth():
    """No chance left: the mean over every sample there is, with the correction that a reading makes."""
    rows = sampling.population(7, 4) + np.float32(0.5)
    exact = truth.of_population(rows, replacement=False)
    pairs = np.array([raw(rows[list(chosen)]) for chosen in itertools.combinations(range(7), 3)])
    signal, variance = pairs.mean(axis=0)
    assert signal + variance / 7 == pytest.approx(exact.signal, rel=16 * EPS)
    assert variance == pytest.approx(exact.total_variance, rel=16 * EPS)
    assert abs(signal - exact.signal) > 0.05 * exact.signal  # what the correction is for


def test_all_samples_with_replacement_average_to_the_truth():
    rows = sampling.population(5, 4) + np.float32(0.5)
    exact = truth.of_population(rows, replacement=True)
    pairs = np.array([raw(rows[list(chosen)]) for chosen in itertools.product(range(5), repeat=3)])
    assert pairs.mean(axis=0) == pytest.approx([exact.signal, exact.total_variance], rel=16 * EPS)


def raw(rows):
    estimator = NoiseEstimator().update(rows)
    return estimator.signal, estimator.total_variance


def test_the_correction_is_the_one_of_the_reading():
    cell = Shifted("unreplaced", 100)
    draw = cell.measure(1, 5)[0]  # the largest |G|², which no clamp touches
    rows = next(iter(cell._noise(1, 5)))[0] + cell.means()[0]
    reading = NoiseEstimator(population=POPULATION).update(rows).reading()
    (ours, *_) = [each for each in findings(cell, np.repeat([draw], 6, axis=0).repeat(2, axis=1), 2)]
    assert ours.mean == pytest.approx(reading.signal, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [10, 1000])
def test_the_truth_of_normals_is_that_of_many_rows(dim):
    cell = Shifted("normal", dim)
    for mean, exact, ratio in zip(cell.means(), cell.truths(), RATIOS, strict=True):
        assert exact.signal / exact.total_variance == pytest.approx(ratio, rel=4 * EPS)
        assert exact.total_variance == pytest.approx((np.arange(1, dim + 1) ** -0.5).sum(), rel=4 * EPS)
        assert mean.dtype == np.float32
    rows = sampling.noise((20_000, dim), sampling.deviations(dim), seed=1).astype(float)
    norms = np.sum(rows**2, axis=1)
    error = norms.std() / math.sqrt(len(norms))
    assert abs(norms.mean() - exact.total_variance) < 4 * error


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_matrices_are_symmetric_and_of_the_spectrum_that_they_are_named_after(spectrum):
    matrix = hessian(spectrum, 100)
    assert np.array_equal(matrix, matrix.T)
    values = np.linalg.eigvalsh(matrix)
    significant = values[abs(values) > 1e-9 * abs(values).max()]
    assert (len(significant) == 1) == (spectrum == "rank one")
    assert (significant.min() < 0.0) == (spectrum == "both signs")


def test_an_interval_is_said_to_cover_what_lies_in_it():
    reading = NoiseEstimator().update(sampling.population(16, 4) + np.float32(5.0)).reading()
    low, _ = reading.signal_interval
    inside = truth.Truth(reading.signal, reading.total_variance)
    assert inside.covered(reading) == (True, True, True, True)
    assert truth.Truth(low, 1e9).covered(reading) == (False, True, False, False)
    assert truth.Truth(math.nextafter(low, 0.0), reading.total_variance).covered(reading)[:2] == (True, False)
    assert truth.Truth(1.0, 4.0).signal_fraction(16.0) == 0.8 and truth.Truth(1.0, 4.0).noise_scale == 4.0


# -- draws --------------------------------------------------------------------------------------------


def test_samples_without_replacement_hold_no_row_twice():
    chosen = sampling.without_replacement(500, 8, 12, seed=1)
    assert all(len(set(each)) == 8 for each in chosen.tolist())
    counts = np.bincount(chosen.ravel(), minlength=12)
    assert np.all(np.abs(counts - 500 * 8 / 12) < 4 * math.sqrt(500 * (8 / 12) * (4 / 12)))
    chosen = sampling.with_replacement(500, 8, 12, seed=1)
    assert chosen.shape == (500, 8) and chosen.max() == 11
    assert any(len(set(each)) < 8 for each in chosen.tolist())


def test_epochs_show_every_row_once():
    cell = Epochs(1.0, (32,), 128)
    (orders,) = sampling.without_replacement(1, 128, 128, seed=9)
    assert sorted(orders) == list(range(128))
    assert cell.series(3, 1).shape == (3, 32, 2)


def test_sums_made_all_at_once_are_those_of_the_class(rng):
    rows = rng.normal(0.3, 1.0, size=(3, 8, 20)).astype(np.float32)
    for step, (norm, spread) in zip(rows, many_steps.sums(rows), strict=True):
        signal, variance = raw(step)
        assert spread / 7 == pytest.approx(variance, rel=32 * EPS)
        assert norm - spread / 56 == pytest.approx(signal, rel=0, abs=64 * EPS * norm)


def test_correlated_pairs_have_the_correlation_and_spread_they_are_said_to_have():
    cell = CorrelatedSteps(1.0, (64,))
    pairs = cell._pairs(4000, 2)
    normal = IndependentSteps(1.0, (64,)).series(400, 3).reshape(-1, 2)
    spread = np.std([normal[:, 0] - normal[:, 1] / 56, normal[:, 1] / 7], axis=1)
    exact = cell.truth()
    for k in range(2):
        series = pairs[..., k] - exact[k]
        assert np.corrcoef(series[:, 40], series[:, 41])[0, 1] == pytest.approx(0.9, abs=0.01)
        assert np.corrcoef(series[:, 20], series[:, 30])[0, 1] == pytest.approx(0.9**10, abs=0.05)
        assert series[:, 0].std() == pytest.approx(series[:, -1].std(), rel=0.06)
        assert series[:, 0].std() == pytest.approx(spread[k], rel=0.06)


def test_sums_of_correlated_pairs_are_read_back_as_the_pairs():
    cell = CorrelatedSteps(0.01, (64,))
    pairs, sums = cell._pairs(2, 1), cell.series(2, 1)
    norm, spread = sums[1, 5]
    assert (norm - spread / 56, spread / 7) == pytest.approx(tuple(pairs[1, 5]), rel=1e-12)


def test_blocks_of_draws_do_not_repeat_each_other():
    first, second, third = tasks(Shifted("normal", 10), 4001, seed=0)
    assert (first.draws, second.draws, third.draws) == (2000, 2000, 1)
    assert len({each.seed for each in (first, second, third)}) == 3
    (other,) = tasks(Shifted("normal", 100), 10, seed=0)
    assert other.seed != first.seed
