"""Hessian products from two gradients: as exact as the dtype allows, where a naive step is not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import HutchinsonEstimator, create_noisy_landscape, finite_difference_hvp


def bent(scale, dtype):
    """Return the gradient of Σ cosh(x_j/scale) and its second derivatives, in `dtype`."""
    width = np.asarray(scale, dtype)

    def gradient(x):
        return np.sinh(x / width) / width

    def hessian(x):
        return np.cosh(x.astype(np.float64) / scale) / scale**2

    return gradient, hessian


@pytest.mark.parametrize(("dtype", "digits"), [(np.float64, 9), (np.float32, 3)])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_it_is_as_exact_as_promised_whatever_the_length_of_the_vector(rng, dtype, digits, length):
    gradient, hessian = bent(2.0, dtype)
    x = rng.normal(size=20).astype(dtype)
    v = (length * rng.normal(size=20)).astype(dtype)
    exact = hessian(x) * v
    product = finite_difference_hvp(gradient, x)(v)
    assert product.dtype == np.float64
    assert np.linalg.norm(product - exact) < 10.0**-digits * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("naive", ["of a forward difference, squared", "one for all dtypes"])
def test_a_naive_step_is_worse(rng, dtype, naive):
    gradient, hessian = bent(2.0, dtype)
    x = (100.0 + rng.normal(size=20)).astype(dtype) / 50
    v = rng.normal(size=20).astype(dtype)
    step = float(np.finfo(dtype).eps) if naive.startswith("of") else 1e-8
    exact = hessian(x) * v

    def error(product):
        return np.linalg.norm(product(v) - exact) / np.linalg.norm(exact)

    ours = error(finite_difference_hvp(gradient, x))
    assert error(finite_difference_hvp(gradient, x, step=step)) > 30.0 * ours


def test_central_differences_have_no_error_of_first_order(rng):
    gradient, hessian = bent(1.0, np.float64)
    x, v = np.ones(3), np.ones(3)
    errors = [abs(finite_difference_hvp(gradient, x, step=h)(v) - hessian(x)).max() for h in (2e-2, 1e-2)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.01)


def test_float32_gradients_of_float64_parameters_take_the_coarser_step():
    gradient, hessian = bent(2.0, np.float32)
    x, v = np.linspace(-1.0, 1.0, 10), np.ones(10)
    product = finite_difference_hvp(lambda x: gradient(x.astype(np.float32)), x)(v)
    np.testing.assert_allclose(product, hessian(x), rtol=1e-3)


def test_it_agrees_with_its_sibling_in_torch():
    torch = pytest.importorskip("torch")
    from nalr.torch import finite_difference_hvp as of_torch

    values = np.linspace(-1.0, 2.0, 8)
    x = torch.tensor(values, requires_grad=True)
    theirs = of_torch(lambda: (torch.cosh(x / 2.0)).sum(), [x])(np.ones(8))
    ours = finite_difference_hvp(bent(2.0, np.float64)[0], values)(np.ones(8))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_it_composes_with_the_estimators():
    landscape = create_noisy_landscape(dim=40, kind="rosenbrock")
    x = np.linspace(-1.0, 1.0, 40)
    hvp = finite_difference_hvp(landscape.gradient, x)
    estimator = HutchinsonEstimator(num_probes=16)
    exact = estimator.trace(lambda v: landscape.hessian_vector(x, v), 40)
    assert estimator.trace(hvp, 40).trace == pytest.approx(exact.trace, rel=1e-6)


def test_it_stays_where_it_was_made_and_zero_gives_zero():
    x, calls = np.ones(3), []
    hvp = finite_difference_hvp(lambda x: calls.append(1) or x**3, x)
    assert not hvp(np.zeros(3)).any() and not calls
    before = hvp(np.ones(3))
    assert len(calls) == 4  # two to see whether it repeats itself, two for the product
    x[:] = 7.0
    np.testing.assert_array_equal(hvp(np.ones(3)), before)
    assert len(calls) == 6


def test_a_gradient_that_does_not_repeat_itself_is_refused(rng):
    hvp = finite_difference_hvp(lambda x: x + rng.normal(size=3), np.ones(3))
    with pytest.raises(
        ValueError, match="`gradient` must return the same at the same place, got two that di"
    ):
        hvp(np.ones(3))


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: finite_difference_hvp(3, np.ones(3)), TypeError, "`gradient` must be a function of the par"),
        (
            lambda: finite_difference_hvp(abs, np.ones((2, 2))),
            ValueError,
            r"`params` must have shape \(D,\) w",
        ),
        (lambda: finite_difference_hvp(abs, [1, 2]), TypeError, "`params` must hold float32 or float64, got"),
        (
            lambda: finite_difference_hvp(abs, np.ones(2), step=0),
            ValueError,
            "`step` must be positive and fin",
        ),
        (
            lambda: finite_difference_hvp(abs, np.ones(2))(np.ones(3)),
            ValueError,
            r"`vector` must have shape \(2",
        ),
        (
            lambda: finite_difference_hvp(abs, np.ones(2))([1, 2]),
            TypeError,
            "`vector` must hold float32 or flo",
        ),
        (
            lambda: finite_difference_hvp(lambda x: x[:1], np.ones(2))(np.ones(2)),
            ValueError,
            r"`gradient` must return shape \(2,\), got \(1,\).",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(action, error, message):
    with pytest.raises(error, match=message):
        action()


def test_a_gradient_that_is_not_finite_shows(rng):
    hvp = finite_difference_hvp(lambda x: x * math.nan, np.ones(3))
    assert np.isnan(hvp(np.ones(3))).all()
