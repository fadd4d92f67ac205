"""Hutch++: unbiased, honest about its error, and far better where a few eigenvalues are large."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import HutchinsonEstimator, HutchPlusPlusEstimator
from nalr.curvature import TraceStatus
from nalr.curvature.basis import Basis
from nalr.curvature.probes import rademacher
from tests.tolerances import standard_errors

EPS = np.finfo(np.float64).eps


def rotated(rng, eigenvalues):
    vectors = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return (vectors * eigenvalues) @ vectors.T


@pytest.fixture
def decaying(rng):
    return rotated(rng, 1.0 / np.arange(1.0, 101.0) ** 2)


def textbook(matrix, num_probes, seed, shared=False):
    """Hutch++ with NumPy's QR; `shared` takes the probes of the sketch for the remainder as well."""
    k, dim = num_probes // 3, len(matrix)
    probes = np.array([rademacher(dim, seed=seed, index=i, dtype=np.float64) for i in range(num_probes - k)])
    basis = np.linalg.qr(matrix @ probes[:k].T)[0]
    rest = probes[:k] if shared else probes[k:]
    rest = rest - rest @ basis @ basis.T
    return np.trace(basis.T @ matrix @ basis) + np.einsum("ni,ij,nj->n", rest, matrix, rest).mean()


def test_it_equals_the_textbook_formula_on_the_same_probes(decaying):
    for seed in range(5):
        reading = HutchPlusPlusEstimator(num_probes=30, seed=seed).trace(decaying)
        assert reading.trace == pytest.approx(textbook(decaying, 30, seed), rel=1e4 * EPS)
        assert (reading.num_products, len(reading.values), reading.status) == (30, 10, TraceStatus.OK)


@pytest.mark.slow
def test_it_is_unbiased_and_so_is_its_squared_standard_error(decaying):
    readings = [HutchPlusPlusEstimator(num_probes=24, seed=s).trace(decaying) for s in range(1500)]
    errors = np.array([r.trace for r in readings]) - np.trace(decaying)
    assert abs(errors.mean()) < standard_errors(errors, 3.0)
    differences = np.array([r.standard_error for r in readings]) ** 2 - errors**2
    assert abs(differences.mean()) < standard_errors(differences, 3.0)


def test_probes_that_made_the_basis_may_not_serve_for_what_it_leaves(decaying):
    errors = np.array([textbook(decaying, 24, s, shared=True) for s in range(400)]) - np.trace(decaying)
    assert errors.mean() < -standard_errors(errors, 6.0)  # far too low
    honest = np.array([textbook(decaying, 24, s) for s in range(400)]) - np.trace(decaying)
    assert abs(honest.mean()) < standard_errors(honest, 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("spectrum", ["decaying", "flat"])
def test_95_percent_intervals_cover_93_to_97(rng, spectrum):
    eigenvalues = {"decaying": 1.0 / np.arange(1.0, 51.0) ** 2, "flat": np.linspace(1.0, 3.0, 50)}
    matrix, repeats = rotated(rng, eigenvalues[spectrum]), 2000
    truth, inside = np.trace(matrix), 0
    for seed in range(repeats):
        low, high = HutchPlusPlusEstimator(num_probes=30, seed=seed).trace(matrix).interval
        inside += low <= truth <= high
    margin = 2.0 * math.sqrt(0.05 * 0.95 / repeats)
    assert 0.93 - margin <= inside / repeats <= 0.97 + margin


def rms_error(estimator, matrix, budget, seeds=60):
    errors = [
        estimator(num_probes=budget, seed=s).trace(matrix).trace - np.trace(matrix) for s in range(seeds)
    ]
    return math.sqrt(np.mean(np.square(errors)))


def test_the_error_falls_at_least_as_one_over_the_budget_against_its_root(decaying):
    few, many = 12, 48
    plain = rms_error(HutchinsonEstimator, decaying, few) / rms_error(HutchinsonEstimator, decaying, many)
    better = rms_error(HutchPlusPlusEstimator, decaying, few) / rms_error(
        HutchPlusPlusEstimator, decaying, many
    )
    noise = 3.0 / math.sqrt(60)  # of the ratio of two RMS over 60 seeds, each known to 1/√(2 · 60) and more
    assert plain == pytest.approx(math.sqrt(many / few), rel=noise)
    assert better > many / few


def test_low_rank_is_exact_and_what_the_basis_would_have_cost_goes_to_the_probes(rng):
    matrix = rotated(rng, np.r_[3.0, -2.0, 1.0, np.zeros(97)])
    reading = HutchPlusPlusEstimator(num_probes=60).trace(matrix)
    assert reading.trace == pytest.approx(2.0, abs=1e3 * EPS)
    assert reading.standard_error < 1e3 * EPS
    assert reading.num_products == 60 and len(reading.values) == 60 - 20 - 3


@pytest.mark.parametrize("budget", [100, 200])
def test_a_budget_of_all_unit_vectors_makes_it_exact(decaying, budget):
    reading = HutchPlusPlusEstimator(num_probes=budget).trace(decaying)
    assert reading.trace == pytest.approx(np.trace(decaying), rel=100 * EPS)
    assert (reading.status, reading.num_products) == (TraceStatus.EXACT, 100)


def test_it_stops_at_the_wanted_error_and_says_when_it_cannot(rng):
    matrix = rotated(rng, 1.0 / np.arange(1.0, 301.0))
    reached = HutchPlusPlusEstimator(num_probes=150, relative_error=0.05).trace(matrix)
    assert reached.status is TraceStatus.REACHED and reached.num_products == 2 * 50 + 16
    assert abs(reached.trace / np.trace(matrix) - 1.0) < 0.05
    spent = HutchPlusPlusEstimator(num_probes=60, relative_error=1e-9).trace(matrix)
    assert spent.status is TraceStatus.SPENT and spent.num_products == 60
    assert HutchPlusPlusEstimator(num_probes=12).trace(matrix).status is TraceStatus.FEW


def test_its_readings_are_not_merged_with_others(decaying):
    first, second = (HutchPlusPlusEstimator(num_probes=30, seed=s).trace(decaying) for s in (0, 1))
    with pytest.raises(ValueError, match="`other` must be made of Hutchinson's probes alone"):
        first.merge(second)


def test_the_basis_stays_orthonormal_where_one_pass_of_gram_and_schmidt_does_not(rng):
    # Columns of a Hilbert matrix are nearly dependent.
    i = np.arange(1.0, 41.0)
    columns = 1.0 / (i[:, None] + i[None, :12])
    basis, once = Basis(12, 40, 1e9, "size"), []
    for column in columns.T:
        rest, _, length = basis.remainder(column)
        basis.add(rest, length)
        single = column - sum(((q @ column) * q for q in once), np.zeros(40))
        once.append(single / np.linalg.norm(single))
    identity = np.eye(12)
    assert abs(basis.rows @ basis.rows.T - identity).max() < 100 * EPS
    assert abs(np.array(once) @ np.array(once).T - identity).max() > 1e-3
    assert basis.remainder(columns @ rng.normal(size=12))[2] == 0.0
