from __future__ import annotations

import numpy as np
import pytest

from nalr import NoiseEstimator
from nalr.arrays.gradients import as_rows
from nalr.noise.columns import PooledColumns, column_variance, welford
from tests.cases import batches
from tests.tolerances import rounding

BATCHES = {name: rows for name, rows in batches().items() if name != "huge"}


def test_per_coordinate_mean_and_variance_equal_numpy_over_all_rows(rng):
    estimator = NoiseEstimator(per_coordinate=True)
    everything = []
    for size in (1, 5, 3, 1, 8):
        rows = 1e6 + rng.normal(size=(size, 4))
        everything.append(rows)
        estimator.update(rows)
    stacked = np.vstack(everything)
    np.testing.assert_allclose(estimator.mean, stacked.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(estimator.variance, stacked.var(axis=0, ddof=1), rtol=rounding(stacked))


def test_asking_for_coordinates_without_keeping_them_says_what_to_do():
    with pytest.raises(ValueError, match=r"`variance` must be asked of `NoiseEstimator\(per_coordinate"):
        _ = NoiseEstimator().variance


def test_rows_that_are_not_finite_leave_the_coordinates_alone(rng):
    estimator = NoiseEstimator(per_coordinate=True)
    with pytest.raises(ValueError, match="`mean` must be asked after the first finite rows"):
        _ = estimator.mean
    rows = rng.normal(size=(5, 3))
    estimator.update(rows).update(np.full((2, 3), np.nan))
    np.testing.assert_allclose(estimator.mean, rows.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", BATCHES)
def test_the_variance_of_each_column_equals_numpy_in_long_double(name):
    rows = BATCHES[name]
    wide = np.asarray(rows, dtype=np.longdouble)
    expected = wide.var(axis=0, ddof=1).astype(float)
    tolerance = rounding(np.asarray(rows, dtype=float))
    got = column_variance(as_rows("rows", rows))
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * expected.max())


def test_welford_rows_equal_columns_at_once_and_merged_parts(rng):
    rows = 1e6 + rng.normal(size=(50, 7))
    mean, m2 = np.zeros(7), np.zeros(7)
    for count, row in enumerate(rows):
        welford(mean, m2, count, row)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(m2 / 49, rows.var(axis=0, ddof=1), rtol=rounding(rows))
    left, right = PooledColumns(), PooledColumns()
    left.update(as_rows("rows", rows[:20]))
    right.update(as_rows("rows", rows[20:]))
    left.merge(right)
    np.testing.assert_allclose(left.m2, m2, rtol=rounding(rows))


def test_a_weighted_row_is_that_many_rows(rng):
    rows = rng.normal(size=(3, 5))
    weights = [1.0, 4.0, 2.0]
    mean, m2 = np.zeros(5), np.zeros(5)
    seen = 0.0
    for weight, row in zip(weights, rows, strict=True):
        welford(mean, m2, seen, row, weight)
        seen += weight
    repeated = np.repeat(rows, [1, 4, 2], axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(m2, repeated.var(axis=0) * 7, rtol=1e-12)


def test_state_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"`m2` must have the shape of `mean`, \(2,\), got \(3,\)\."):
        welford(np.zeros(2), np.zeros(3), 0, np.ones(2))
    with pytest.raises(ValueError, match=r"`row` must have 2 values as in earlier updates, got 3\."):
        welford(np.zeros(2), np.zeros(2), 0, np.ones(3))
