"""Hutchinson's trace and diagonal: unbiased, with errors that hold, resumed and merged exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import HutchinsonEstimator
from nalr.curvature import TraceStatus
from nalr.curvature.hutchinson import EARLIEST_STOP
from nalr.curvature.probes import normal, rademacher
from tests.tolerances import standard_errors

KINDS = ["rademacher", "normal"]
EPS = np.finfo(np.float64).eps


def rotated(rng, eigenvalues):
    """Return a symmetric matrix of these eigenvalues and random eigenvectors."""
    vectors = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return (vectors * eigenvalues) @ vectors.T


@pytest.fixture
def matrix(rng):
    return rotated(rng, 1.0 / np.arange(1.0, 41.0))


@pytest.mark.parametrize("kind", KINDS)
def test_trace_is_that_of_numpy_over_the_same_probes(matrix, kind):
    reading = HutchinsonEstimator(num_probes=20, distribution=kind, seed=3).trace(matrix)
    draw = {"rademacher": rademacher, "normal": normal}[kind]
    probes = np.array([draw(40, seed=3, index=i, dtype=np.float64) for i in range(20)])
    values = np.einsum("ni,ij,nj->n", probes, matrix, probes)
    np.testing.assert_allclose(reading.values, values, rtol=1e3 * EPS)
    assert reading.trace == pytest.approx(values.mean())
    assert reading.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(20))
    assert (reading.num_products, reading.nonfinite, reading.status) == (20, 0, TraceStatus.OK)


@pytest.mark.parametrize("kind", KINDS)
def test_trace_and_diagonal_are_unbiased_over_seeds(matrix, kind):
    estimators = [HutchinsonEstimator(num_probes=10, distribution=kind, seed=s) for s in range(500)]
    traces = np.array([e.trace(matrix).trace for e in estimators])
    assert abs(traces.mean() - np.trace(matrix)) < standard_errors(traces, 3.0)
    diagonals = np.array([e.diagonal(matrix).diagonal for e in estimators])
    errors = diagonals.std(axis=0, ddof=1) / math.sqrt(500)
    assert np.all(abs(diagonals.mean(axis=0) - np.diag(matrix)) < 4.0 * errors)  # the largest of 40


@pytest.mark.parametrize("kind", KINDS)
def test_probes_longer_than_a_word_of_signs_are_unbiased_too(kind):
    # 𝟙𝟙ᵀ sees every correlation between signs: (Σ v)² has mean D only if there is none.
    dim, estimates = 1000, []
    for seed in range(200):
        estimator = HutchinsonEstimator(num_probes=20, distribution=kind, seed=seed)
        estimates.append(estimator.trace(lambda v: np.full(dim, v.sum()), dim).trace)
    assert abs(np.mean(estimates) - dim) < standard_errors(estimates, 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_squared_standard_errors_are_unbiased_for_the_variance(matrix, kind):
    readings = [
        HutchinsonEstimator(num_probes=6, distribution=kind, seed=s).trace(matrix) for s in range(2000)
    ]
    squares = np.array([r.standard_error for r in readings]) ** 2
    off = matrix**2 if kind == "normal" else matrix**2 - np.diag(np.diag(matrix) ** 2)
    exact = 2.0 * off.sum() / 6
    assert abs(squares.mean() - exact) < standard_errors(squares, 3.0)
    without_ddof = squares * 5 / 6  # the biased alternative
    assert abs(without_ddof.mean() - exact) > standard_errors(without_ddof, 3.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [8, 16])
@pytest.mark.parametrize(
    "eigenvalues",
    [np.linspace(-1.0, 2.0, 20), 1.0 / np.arange(1.0, 21.0), np.eye(20)[0]],
    ids=["flat", "decaying", "rank one"],
)
def test_95_percent_intervals_cover_93_to_97(rng, kind, count, eigenvalues):
    matrix, repeats = rotated(rng, eigenvalues), 2000
    truth = np.trace(matrix)
    inside = 0
    for seed in range(repeats):
        low, high = HutchinsonEstimator(num_probes=count, distribution=kind, seed=seed).trace(matrix).interval
        inside += low <= truth <= high
    margin = 2.0 * math.sqrt(0.05 * 0.95 / repeats)
    assert 0.93 - margin <= inside / repeats <= 0.97 + margin


@pytest.mark.parametrize("budget", [40, 41, 1000])
def test_a_budget_of_all_unit_vectors_makes_it_exact(matrix, budget):
    reading = HutchinsonEstimator(num_probes=budget).trace(matrix)
    assert reading.trace == pytest.approx(np.trace(matrix), rel=4 * EPS)
    assert (reading.standard_error, reading.num_products, reading.status) == (0.0, 40, TraceStatus.EXACT)
    diagonal = HutchinsonEstimator(num_probes=budget).diagonal(matrix)
    np.testing.assert_array_equal(diagonal.diagonal, np.diag(matrix))
    assert not diagonal.standard_error.any() and diagonal.status is TraceStatus.EXACT


# Stopping at a wanted error


@pytest.mark.parametrize("wanted", [0.3, 0.1])
def test_it_stops_at_the_wanted_error_and_not_before_16(rng, wanted):
    matrix = rotated(rng, np.linspace(1.0, 3.0, 300))
    reading = HutchinsonEstimator(num_probes=290, relative_error=wanted).trace(matrix)
    assert reading.status is TraceStatus.REACHED
    assert EARLIEST_STOP <= reading.num_products < 290
    arms = reading.trace - reading.interval[0], reading.interval[1] - reading.trace
    assert max(arms) <= wanted * abs(reading.trace)
    assert abs(reading.trace - np.trace(matrix)) <= wanted * np.trace(matrix)


def test_stopping_early_hardly_biases_and_still_covers():
    eigenvalues = 1.0 / np.arange(1.0, 501.0)  # in their own basis: to normals all are the same
    truth, repeats = eigenvalues.sum(), 1000
    settings = {"num_probes": 400, "relative_error": 0.2, "distribution": "normal"}
    readings = [
        HutchinsonEstimator(seed=s, **settings).trace(lambda v: eigenvalues * v, 500) for s in range(repeats)
    ]
    traces = np.array([r.trace for r in readings])
    assert abs(traces.mean() / truth - 1.0) < 0.1 * 0.2 + standard_errors(traces, 3.0) / truth
    inside = np.mean([r.interval[0] <= truth <= r.interval[1] for r in readings])
    assert inside >= 0.93 - 2.0 * math.sqrt(0.05 * 0.95 / repeats)


def test_a_budget_that_does_not_do_is_said_and_a_small_matrix_ends_exactly(rng):
    matrix = rotated(rng, np.where(np.arange(60) % 2, 1.0, -1.0))  # trace 0: no share of it is reached
    spent = HutchinsonEstimator(num_probes=30, relative_error=0.1).trace(matrix)
    assert (spent.status, spent.num_products) == (TraceStatus.SPENT, 30)
    exact = HutchinsonEstimator(num_probes=1000, relative_error=0.1).trace(matrix)
    assert (exact.status, exact.num_products) == (TraceStatus.EXACT, 120)  # 60 probes, then 60 unit vectors
    diagonal = HutchinsonEstimator(num_probes=80, relative_error=1e-9).diagonal(matrix)
    assert (diagonal.status, diagonal.num_products) == (TraceStatus.EXACT, 80)


def test_the_diagonal_stops_at_the_wanted_error(rng):
    matrix = rotated(rng, np.linspace(1.0, 3.0, 300))
    reading = HutchinsonEstimator(num_probes=290, relative_error=0.1).diagonal(matrix)
    assert reading.status is TraceStatus.REACHED and 16 <= reading.num_products < 290
    error = np.linalg.norm(reading.diagonal - np.diag(matrix))
    assert error < 1.2 * 0.1 * np.linalg.norm(np.diag(matrix))


# Resume and merge


@pytest.mark.parametrize("split", [2, 7, 29])
@pytest.mark.parametrize("wanted", [None, 0.5])
def test_resuming_gives_the_same_bits(matrix, split, wanted):
    def estimator(budget):
        return HutchinsonEstimator(num_probes=budget, seed=5, relative_error=wanted)

    first = estimator(split).trace(matrix)
    assert estimator(30).trace(matrix, resume=first) == estimator(30).trace(matrix)
    part, whole = estimator(split).diagonal(matrix), estimator(30).diagonal(matrix)
    before = part.diagonal.copy()
    resumed = estimator(30).diagonal(matrix, resume=part)
    np.testing.assert_array_equal(resumed.diagonal, whole.diagonal)
    np.testing.assert_array_equal(resumed.standard_error, whole.standard_error)
    np.testing.assert_array_equal(part.average.diagonal, before)  # the first reading is left alone


def test_resuming_makes_only_the_missing_products_and_keeps_what_is_exact(matrix):
    calls = []
    first = HutchinsonEstimator(num_probes=10).trace(matrix)
    HutchinsonEstimator(num_probes=25).trace(lambda v: calls.append(1) or matrix @ v, 40, resume=first)
    assert len(calls) == 15
    for name in ("trace", "diagonal"):
        exact = getattr(HutchinsonEstimator(num_probes=40), name)(matrix)
        assert getattr(HutchinsonEstimator(num_probes=80), name)(matrix, resume=exact) is exact


def test_merge_equals_one_pass_over_both_sets_of_probes(matrix):
    parts = [HutchinsonEstimator(num_probes=n, seed=s).trace(matrix) for s, n in ((0, 10), (1, 20))]
    merged = parts[0].merge(parts[1])
    values = np.array(parts[0].values + parts[1].values)
    assert merged.trace == pytest.approx(values.mean())
    assert merged.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(30))
    assert (merged.num_products, merged.status, merged.seeds) == (30, TraceStatus.OK, (0, 1))
    halves = [HutchinsonEstimator(num_probes=n, seed=s).diagonal(matrix) for s, n in ((0, 10), (1, 20))]
    both = halves[0].merge(halves[1])
    mean = (10 * halves[0].diagonal + 20 * halves[1].diagonal) / 30
    np.testing.assert_allclose(both.diagonal, mean, rtol=1e-12)
    assert both.num_products == 30 and halves[0].num_products == halves[0].average.count == 10


def test_what_holds_the_same_probes_or_none_is_not_merged(matrix):
    first, again = (HutchinsonEstimator(num_probes=n).trace(matrix) for n in (10, 20))
    with pytest.raises(ValueError, match="`other` must come from probes of another seed, got seed 0 again."):
        first.merge(again)
    with pytest.raises(ValueError, match="`other` must not be merged if either reading is exact"):
        first.merge(HutchinsonEstimator(num_probes=40, seed=1).trace(matrix))
