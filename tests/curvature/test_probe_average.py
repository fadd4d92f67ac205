"""Running averages over probes equal NumPy, and are unbiased."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nalr.curvature.probe_average import ProbeAverage
from nalr.curvature.probes import CHUNK, normal, rademacher
from nalr.kernels import probes as kernels
from tests.curvature.cases import EPS, KINDS, averaged
from tests.tolerances import rounding


@pytest.fixture
def hessian(rng):
    matrix = rng.normal(size=(30, 30))
    return matrix + matrix.T


# Hutchinson's estimators


@pytest.mark.parametrize("draw", KINDS)
def test_mean_and_variance_equal_those_of_numpy_over_the_list_of_products(hessian, draw):
    probes = np.array([draw(30, seed=0, index=index, dtype=np.float64) for index in range(50)])
    values = probes * (probes @ hessian)
    average = averaged(hessian, range(50), draw, diagonal=True)
    tolerance = rounding(values)
    assert average.count == 50
    assert average.trace == pytest.approx(values.sum(axis=1).mean(), rel=tolerance)
    error = values.sum(axis=1).std(ddof=1) / math.sqrt(50)
    assert average.trace_standard_error == pytest.approx(error, rel=tolerance)
    np.testing.assert_allclose(average.diagonal, values.mean(axis=0), atol=tolerance * abs(values).max())
    errors = values.std(axis=0, ddof=1) / math.sqrt(50)
    np.testing.assert_allclose(average.diagonal_standard_error, errors, rtol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_signs_give_a_diagonal_matrix_exactly_from_one_probe_on(rng, dtype):
    exact = rng.normal(size=200).astype(dtype)
    average = ProbeAverage(diagonal=True)
    for index in range(5):
        probe = rademacher(200, seed=0, index=index, dtype=dtype)
        average.update(probe, exact * probe)
    np.testing.assert_array_equal(average.diagonal, exact)
    np.testing.assert_array_equal(average.diagonal_standard_error, 0.0)
    assert average.trace == pytest.approx(float(np.sum(exact, dtype=np.float64)), abs=200 * EPS * 200)
    assert average.trace_standard_error == 0.0


def test_normals_do_not(rng):
    exact = rng.normal(size=200)
    average = averaged(np.diag(exact), range(5), normal, diagonal=True)
    assert average.trace_standard_error > 0.0


@pytest.mark.parametrize("draw", KINDS)
def test_trace_and_diagonal_are_unbiased(hessian, draw):
    average = averaged(hessian, range(4000), draw, diagonal=True)
    assert abs(average.trace - np.trace(hessian)) < 4 * average.trace_standard_error
    assert np.all(abs(average.diagonal - np.diag(hessian)) < 4.5 * average.diagonal_standard_error)


@pytest.mark.parametrize("draw", KINDS)
def test_variance_is_the_one_of_theory(hessian, draw):
    average = averaged(hessian, range(4000), draw)
    squares = hessian**2 if draw is normal else hessian**2 - np.diag(np.diag(hessian) ** 2)
    # The relative error of a variance over n values is √(2/n) for normal ones; twice that for these.
    variance = average.trace_standard_error**2 * average.count
    assert variance == pytest.approx(2 * squares.sum(), rel=4 * 2 * math.sqrt(2 / 4000))


@pytest.mark.parametrize("split", [0, 1, 7, 49, 50])
@pytest.mark.parametrize("diagonal", [False, True])
def test_merge_equals_single_pass(hessian, split, diagonal):
    whole = averaged(hessian, range(50), diagonal=diagonal)
    parts = averaged(hessian, range(split), diagonal=diagonal)
    assert parts.merge(averaged(hessian, range(split, 50), diagonal=diagonal)) is parts
    assert parts.count == 50
    tolerance = 50 * 30 * EPS
    assert parts.trace == pytest.approx(whole.trace, rel=tolerance, abs=tolerance)
    assert parts.trace_standard_error == pytest.approx(whole.trace_standard_error, rel=tolerance)
    np.testing.assert_allclose(parts.diagonal, whole.diagonal, rtol=tolerance, atol=tolerance * 10)
    np.testing.assert_allclose(parts.diagonal_standard_error, whole.diagonal_standard_error, rtol=tolerance)


def test_an_offset_does_not_hide_the_variance(rng):
    noise = rng.normal(size=(400, 20))
    average = ProbeAverage(diagonal=True)
    for row in noise:
        average.update(np.ones(20), 1e8 + row)
    rows = 1e8 + noise
    errors = noise.std(axis=0, ddof=1) / 20
    np.testing.assert_allclose(average.diagonal_standard_error, errors, rtol=rounding(rows))
    # The mean of squares less the square of the mean has no digit left.
    naive = (rows * rows).mean(axis=0) - rows.mean(axis=0) ** 2
    assert np.any(abs(naive / noise.var(axis=0) - 1) > 0.5)


def test_any_number_of_threads_gives_the_same_average(num_threads):
    size = 2 * CHUNK + 5
    results = []
    for number in (1, 2, 3):
        num_threads(number)
        average = ProbeAverage(diagonal=True)
        for index in range(3):
            probe = rademacher(size, seed=0, index=index)
            average.update(probe, normal(size, seed=1, index=index))
        average.merge(average)
        results.append((average.trace, average.trace_standard_error, average.diagonal))
    for other in results[1:]:
        assert other[:2] == results[0][:2]
        np.testing.assert_array_equal(other[2], results[0][2])


def test_state_is_updated_in_place(hessian):
    average = averaged(hessian, range(1), diagonal=True)
    before = average._diagonal, average._diagonal_m2
    probe = rademacher(30, seed=1, dtype=np.float64)
    average.update(probe, hessian @ probe)
    average.merge(averaged(hessian, range(3), diagonal=True))
    assert average._diagonal is before[0]
    assert average._diagonal_m2 is before[1]


@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float64, np.float64), (np.float32, float)])
def test_one_step_serves_both_estimators(rng, dtypes):
    probe, product = (rng.normal(size=1001).astype(dtype) for dtype in dtypes)
    values = probe.astype(float) * product
    for step in (kernels.hutchinson_step, kernels.hutchinson_step.py_func):
        mean, m2 = np.zeros(1001), np.zeros(1001)
        value = step(mean, m2, 0, probe, product)
        assert value == pytest.approx(values.sum(), abs=1001 * EPS * abs(values).sum())
        np.testing.assert_allclose(mean, values, rtol=2 * EPS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_product_that_is_not_finite_is_counted_and_changes_nothing_else(hessian, bad):
    average = averaged(hessian, range(5), diagonal=True)
    before = average.state_dict()
    product = np.ones(30)
    product[[3, 17]] = bad, -bad
    assert not math.isfinite(average.update(np.ones(30), product))
    after = average.state_dict()
    assert after.pop("nonfinite") == before.pop("nonfinite") + 1
    np.testing.assert_equal(after, before)


def test_before_there_are_enough_probes_there_is_no_number(hessian):
    average = ProbeAverage(diagonal=True)
    assert math.isnan(average.trace) and math.isnan(average.trace_standard_error)
    assert average.diagonal.size == 0
    probe = rademacher(30, seed=0, dtype=np.float64)
    average.update(probe, hessian @ probe)
    assert average.trace == pytest.approx(probe @ hessian @ probe, abs=900 * EPS * abs(hessian).max())
    assert math.isnan(average.trace_standard_error) and np.isnan(average.diagonal_standard_error).all()


@pytest.mark.parametrize("diagonal", [False, True])
def test_resuming_gives_the_same_bits_and_reset_a_fresh_average(hessian, diagonal):
    whole, first = (averaged(hessian, range(n), diagonal=diagonal) for n in (9, 4))
    second = ProbeAverage(diagonal=diagonal)
    second.load_state_dict(first.state_dict())
    for index in range(4, 9):
        probe = rademacher(30, seed=0, index=index, dtype=np.float64)
        second.update(probe, hessian @ probe)
    np.testing.assert_equal(second.state_dict(), whole.state_dict())
    second.reset()
    np.testing.assert_equal(second.state_dict(), ProbeAverage(diagonal=diagonal).state_dict())


def test_state_dict_is_a_copy_and_survives_json(hessian):
    average = averaged(hessian, range(4), diagonal=True)
    saved = average.state_dict()
    text = json.dumps(saved, default=np.ndarray.tolist)
    average._diagonal[:] = 0.0
    assert np.all(saved["diagonal"] != 0.0)
    again = ProbeAverage(diagonal=True)
    again.load_state_dict(json.loads(text))
    np.testing.assert_equal(again.state_dict(), saved)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda a: a.update(np.ones(3), np.ones(4)), ValueError, r"must have the same shape, \(3,\), got "),
        (
            lambda a: a.update([1, 2], [1, 2]),
            TypeError,
            "`probe` must hold float32 or float64, got dtype int64.",
        ),
        (lambda a: a.update(np.ones((2, 2)), np.ones(4)), ValueError, r"`probe` must have shape \(D,\)"),
        (
            lambda a: a.merge(ProbeAverage()),
            ValueError,
            r"`other` must be like ProbeAverage\(diagonal=True\)",
        ),
        (
            lambda a: a.load_state_dict({}),
            ValueError,
            r"`state` must have been saved by ProbeAverage\(diagonal=True\), got one of None",
        ),
        (
            lambda a: a.load_state_dict(ProbeAverage().state_dict()),
            ValueError,
            "saved by ProbeAverage with diagonal=True, got one with diagonal=False.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(action, error, message):
    with pytest.raises(error, match=message):
        action(ProbeAverage(diagonal=True))


def test_a_diagonal_of_another_length_is_refused(hessian):
    average = averaged(hessian, range(2), diagonal=True)
    with pytest.raises(
        ValueError, match=r"must have the same shape as before, \(30,\), got \(4,\) and \(4,\)."
    ):
        average.update(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match="`other` must have a diagonal of length 30, got 4."):
        average.merge(averaged(np.eye(4), range(1), diagonal=True))
