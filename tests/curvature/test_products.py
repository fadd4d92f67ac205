"""Which matrices and functions are accepted, and the input checks."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from nalr import (
    HutchinsonEstimator,
    HutchPlusPlusEstimator,
    create_noisy_landscape,
    largest_eigenvalue,
)
from nalr.curvature import EigenvalueStatus, TraceStatus

ALL = [
    pytest.param(HutchinsonEstimator(num_probes=24).trace, id="trace"),
    pytest.param(HutchinsonEstimator(num_probes=24).diagonal, id="diagonal"),
    pytest.param(HutchPlusPlusEstimator(num_probes=24).trace, id="hutch++"),
    pytest.param(largest_eigenvalue, id="eigenvalue"),
]


@pytest.fixture
def matrix(rng):
    array = rng.normal(size=(50, 50))
    return array + array.T


class Multiplier:
    """Has `matvec` alone."""

    def __init__(self, matrix):
        self.matvec = matrix.__matmul__


def number_of(reading):
    return next(getattr(reading, n) for n in ("trace", "diagonal", "eigenvalue") if hasattr(reading, n))


@pytest.mark.parametrize("measure", ALL)
def test_every_form_of_a_matrix_gives_the_same(matrix, measure):
    expected = number_of(measure(matrix))
    forms = [aslinearoperator(matrix), sparse.csr_array(matrix), np.asfortranarray(matrix)]
    for form in forms:
        np.testing.assert_allclose(number_of(measure(form)), expected, rtol=1e-9)
    for form in (lambda v: matrix @ v, Multiplier(matrix)):
        np.testing.assert_allclose(number_of(measure(form, 50)), expected, rtol=1e-9)


@pytest.mark.parametrize("measure", ALL)
def test_a_float32_matrix_is_multiplied_in_float32(matrix, measure):
    class Single(np.ndarray):
        def __matmul__(self, other):
            assert other.dtype == np.float32
            return np.asarray(self) @ other

    single = matrix.astype(np.float32)
    found = number_of(measure(single.view(Single)))
    np.testing.assert_allclose(found, number_of(measure(matrix)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("measure", ALL)
def test_what_does_not_fit_is_refused_in_one_sentence(measure):
    cases = [
        ((lambda v: v,), ValueError, "`dim` must be given, since a function has no known dimension."),
        ((lambda v: v, 0), ValueError, "`dim` must be a whole number of at least 1, got 0."),
        ((np.ones((40, 40)), 3), ValueError, "`dim` must be that of the matrix, 40, got 3."),
        ((np.ones((4, 3)),), ValueError, r"`hvp` must be a square matrix, got shape \(4, 3\)."),
        ((np.ones((40, 40), int),), TypeError, "`hvp` must hold float32 or float64, got dtype int64."),
        ((3.0, 40), TypeError, "`hvp` must be a function v -> Hv, or a matrix .*, got float."),
        ((lambda v: v[:-1], 40), ValueError, r"`hvp` must return shape \(40,\), got \(39,\)."),
        ((lambda v: v.astype(int), 40), TypeError, "`hvp` must return float32 or float64, got dtype int64."),
        ((lambda v: None, 40), TypeError, "`hvp` must return float32 or float64, got dtype object."),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            measure(*arguments)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_products_that_are_not_finite_are_counted_and_said(matrix, bad):
    def broken(v):
        return np.full(50, bad)

    for estimator in (HutchinsonEstimator(num_probes=9), HutchPlusPlusEstimator(num_probes=9)):
        reading = estimator.trace(broken, 50)
        assert math.isnan(reading.trace) and reading.status is TraceStatus.NONFINITE and reading.nonfinite
    reading = largest_eigenvalue(broken, 50)
    assert math.isnan(reading.eigenvalue) and reading.status is EigenvalueStatus.NONFINITE
    calls = []

    def broken_once(v):
        calls.append(1)
        return matrix @ v * (bad if len(calls) == 5 else 1.0)

    reading = HutchinsonEstimator(num_probes=20).trace(broken_once, 50)
    assert (reading.num_products, reading.nonfinite, len(reading.values)) == (20, 1, 19)
    assert math.isfinite(reading.trace) and reading.status is TraceStatus.NONFINITE


def test_a_landscape_is_measured_at_a_point():
    landscape = create_noisy_landscape(dim=60, kind="rosenbrock")
    hvp = partial(landscape.hessian_vector, np.linspace(-1.0, 1.0, 60))
    exact = np.array([hvp(unit) for unit in np.eye(60)])
    reading = HutchinsonEstimator(num_probes=50, confidence=0.999).trace(hvp, 60)
    assert reading.interval[0] < np.trace(exact) < reading.interval[1]
    top = largest_eigenvalue(hvp, 60)
    assert abs(top.eigenvalue - np.linalg.eigvalsh(exact)[-1]) <= top.residual_norm


@pytest.mark.slow
def test_a_model_is_measured_through_its_products():
    torch = pytest.importorskip("torch")
    from nalr.torch import hessian_vector_product

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    inputs, targets = torch.randn(32, 6), torch.randn(32, 1)
    params = list(model.parameters())
    dim = sum(p.numel() for p in params)
    hvp = hessian_vector_product(lambda: torch.nn.functional.mse_loss(model(inputs), targets), params)
    with hvp:
        exact = np.array([hvp(unit) for unit in np.eye(dim)])
        traces = [
            HutchinsonEstimator(num_probes=40, confidence=0.999).trace(hvp, dim),
            HutchPlusPlusEstimator(num_probes=60, confidence=0.999).trace(hvp, dim),
        ]
        diagonal = HutchinsonEstimator(num_probes=40).diagonal(hvp, dim)
        top = largest_eigenvalue(hvp, dim)
    for reading in traces:
        assert reading.interval[0] < np.trace(exact) < reading.interval[1]
    assert np.all(abs(diagonal.diagonal - np.diag(exact)) < 5.0 * diagonal.standard_error + 1e-6)
    values = np.linalg.eigvalsh(0.5 * (exact + exact.T))
    assert abs(top.eigenvalue - values[-1]) <= top.residual_norm
    assert top.status is EigenvalueStatus.CONVERGED


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: HutchinsonEstimator(num_probes=1),
            ValueError,
            "`num_probes` must be a whole number of at l",
        ),
        (
            lambda: HutchinsonEstimator(distribution="uniform"),
            ValueError,
            "`distribution` must be one of rad",
        ),
        (lambda: HutchinsonEstimator(seed=2**64), ValueError, r"`seed` must be below 2\*\*64, got "),
        (
            lambda: HutchinsonEstimator(relative_error=0.0),
            ValueError,
            "`relative_error` must be positive and",
        ),
        (
            lambda: HutchinsonEstimator(confidence=1.0),
            ValueError,
            r"`confidence` must be in \(0, 1\), got 1.0.",
        ),
        (
            lambda: HutchPlusPlusEstimator(num_probes=5),
            ValueError,
            "`num_probes` must be a whole number of at",
        ),
        (
            lambda: HutchPlusPlusEstimator(memory_limit=0),
            ValueError,
            "`memory_limit` must be positive and fin",
        ),
        (
            lambda: largest_eigenvalue(np.eye(3), by="size"),
            ValueError,
            "`by` must be one of value, magnitude",
        ),
        (
            lambda: largest_eigenvalue(np.eye(3), tolerance=0),
            ValueError,
            "`tolerance` must be positive and fi",
        ),
        (
            lambda: largest_eigenvalue(np.eye(3), num_products=1),
            ValueError,
            "`num_products` must be a whole n",
        ),
        (
            lambda: largest_eigenvalue(np.eye(3), basis_size=2),
            ValueError,
            "`basis_size` must be a whole numbe",
        ),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "estimator", [HutchinsonEstimator(seed=3), HutchPlusPlusEstimator(relative_error=0.1)]
)
def test_repr_makes_the_same_estimator(estimator):
    assert repr(eval(repr(estimator))) == repr(estimator)


@pytest.mark.parametrize(
    "call", [HutchPlusPlusEstimator(num_probes=90).trace, partial(largest_eigenvalue, basis_size=30)]
)
def test_an_absurd_basis_is_refused_before_a_product_is_made(call):
    with pytest.raises(
        ValueError, match="must let the basis fit in `memory_limit`=4.295e.09 bytes, got 30 ve"
    ):
        call(lambda v: pytest.fail("a product was made"), 10**9)
