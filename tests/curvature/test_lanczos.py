"""The largest eigenvalue: NumPy's, within a residual that is a bound."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import largest_eigenvalue
from nalr.curvature import EigenvalueStatus

EPS = np.finfo(np.float64).eps


def rotated(rng, eigenvalues):
    vectors = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))[0]
    return (vectors * eigenvalues) @ vectors.T


SPECTRA = {
    "hessian": np.r_[20.0, 10.0, 5.0, np.linspace(-1.0, 1.0, 97)],
    "negative": np.r_[-30.0, np.linspace(-1.0, 4.0, 99)],
    "decay": 1.0 / np.arange(1.0, 101.0),
    "flat": np.linspace(1.0, 3.0, 100),
    "rank one": np.eye(100)[0],
    "identity": np.ones(100),
}


@pytest.mark.parametrize("by", ["value", "magnitude"])
@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("basis_size", [3, 8, 200])
def test_it_agrees_with_numpy_within_its_residual(rng, by, name, basis_size):
    matrix = rotated(rng, SPECTRA[name])
    values = np.linalg.eigvalsh(matrix)
    exact = values[-1] if by == "value" else values[np.argmax(abs(values))]
    reading = largest_eigenvalue(matrix, by=by, basis_size=basis_size, tolerance=1e-5, num_products=2000)
    assert reading.status is EigenvalueStatus.CONVERGED
    assert abs(reading.eigenvalue - exact) <= reading.residual_norm + 100 * EPS * abs(values).max()
    assert np.linalg.norm(reading.vector) == pytest.approx(1.0)
    residual = matrix @ reading.vector - reading.eigenvalue * reading.vector
    assert np.linalg.norm(residual) == pytest.approx(reading.residual_norm, abs=1e-13)


def test_the_residual_bounds_the_distance_at_any_budget(rng):
    matrix = rotated(rng, SPECTRA["hessian"])
    values = np.linalg.eigvalsh(matrix)
    for budget in (2, 3, 5, 8):
        reading = largest_eigenvalue(matrix, num_products=budget, tolerance=1e-12)
        assert reading.num_products == budget
        assert abs(values - reading.eigenvalue).min() <= reading.residual_norm + 1e-12
        assert reading.eigenvalue <= values[-1] + 1e-12  # never from above
    assert largest_eigenvalue(matrix, num_products=3).status is EigenvalueStatus.SPENT


def test_the_smallest_is_minus_the_largest_of_minus_the_matrix(rng):
    matrix = rotated(rng, SPECTRA["negative"])
    reading = largest_eigenvalue(lambda v: -(matrix @ v), 100)
    assert -reading.eigenvalue == pytest.approx(-30.0, rel=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_the_same_eigenvalue(rng):
    matrix = rotated(rng, SPECTRA["hessian"])
    first, again, other = (largest_eigenvalue(matrix, seed=s) for s in (4, 4, 5))
    np.testing.assert_array_equal(first.vector, again.vector)
    assert first.eigenvalue == again.eigenvalue
    assert not np.array_equal(abs(first.vector), abs(other.vector))
    assert first.eigenvalue == pytest.approx(other.eigenvalue, rel=1e-5)


def power_iteration(matrix, products, rng):
    v = rng.normal(size=len(matrix))
    for _ in range(products - 1):
        v = matrix @ v / np.linalg.norm(v)
    v /= np.linalg.norm(v)
    image = matrix @ v
    return np.linalg.norm(image - (v @ image) * v)


def test_a_basis_of_three_beats_power_iteration_at_equal_products(rng):
    matrix = rotated(rng, np.r_[1.1, np.linspace(0.0, 1.0, 199)])
    reading = largest_eigenvalue(matrix, basis_size=3, num_products=60, tolerance=1e-12)
    assert reading.residual_norm < 0.2 * power_iteration(matrix, 60, rng)


def test_the_plain_recurrence_finds_eigenvalues_again_and_ours_does_not(rng):
    # Without reorthogonalisation the largest eigenvalue shows up more than once in the projected matrix.
    eigenvalues = np.r_[100.0, np.linspace(0.0, 1.0, 199)]
    matrix = rotated(rng, eigenvalues)
    v, before, beta = rng.normal(size=200), np.zeros(200), 0.0
    v /= np.linalg.norm(v)
    alphas, betas = [], []
    for _ in range(60):
        w = matrix @ v - beta * before
        alphas.append(v @ w)
        w -= alphas[-1] * v
        before, beta = v, np.linalg.norm(w)
        betas.append(beta)
        v = w / beta
    ghosts = np.linalg.eigvalsh(np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1))
    assert np.sum(ghosts > 99.0) > 1
    reading = largest_eigenvalue(matrix - 100.0 * np.eye(200), by="value", num_products=150, tolerance=1e-7)
    assert reading.eigenvalue == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_small_matrices_are_exact(rng, dim):
    matrix = rng.normal(size=(dim, dim))
    matrix = matrix + matrix.T
    reading = largest_eigenvalue(matrix, tolerance=1e-12)
    assert reading.eigenvalue == pytest.approx(np.linalg.eigvalsh(matrix)[-1], abs=1e-13 * dim * 10)
    assert reading.status is EigenvalueStatus.CONVERGED


def test_zero_and_singular_matrices_converge(rng):
    zero = largest_eigenvalue(np.zeros((50, 50)))
    assert (zero.eigenvalue, zero.residual_norm, zero.status) == (0.0, 0.0, EigenvalueStatus.CONVERGED)
    singular = largest_eigenvalue(rotated(rng, np.r_[0.0, -np.linspace(1.0, 2.0, 49)]))
    assert abs(singular.eigenvalue) < 1e-12 and singular.status is EigenvalueStatus.CONVERGED


def test_a_matrix_that_is_not_symmetric_is_not_called_converged(rng):
    reading = largest_eigenvalue(np.triu(rng.normal(size=(40, 40))), basis_size=60, num_products=200)
    assert reading.status is EigenvalueStatus.INCONSISTENT
    assert math.isfinite(reading.residual_norm)


def test_float32_products_converge_to_their_own_accuracy(rng):
    matrix = rotated(rng, SPECTRA["hessian"]).astype(np.float32)
    reading = largest_eigenvalue(matrix)
    assert reading.status is EigenvalueStatus.CONVERGED
    assert reading.eigenvalue == pytest.approx(20.0, rel=1e-5)
