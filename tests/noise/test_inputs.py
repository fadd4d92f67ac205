from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from nalr import Moments, NoiseEstimator
from tests.noise.helpers import same, settled


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        (np.ones((2, 3), dtype=int), TypeError, "must hold floating-point numbers, got dtype int64"),
        (np.ones((2, 3), dtype=complex), TypeError, "must hold floating-point numbers, got dtype complex128"),
        (np.array([[None, 1.0]]), TypeError, "must hold floating-point numbers, got dtype object"),
        (np.ones(3), ValueError, r"must have shape \(B, D\), one row per sample, got shape \(3,\)"),
        (np.ones((0, 3)), ValueError, r"at least one row and one column, got shape \(0, 3\)"),
        (np.ones((3, 0)), ValueError, r"at least one row and one column, got shape \(3, 0\)"),
    ],
)
def test_wrong_gradients_are_refused_in_one_sentence(gradients, error, message):
    for call in (
        NoiseEstimator().estimate_noise,
        NoiseEstimator().compute_variance,
        NoiseEstimator().update,
    ):
        with pytest.raises(error, match=message):
            call(gradients)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"decay": 1.0}, ValueError, r"`decay` must be in \[0, 1\), got 1\.0\."),
        ({"decay": "x"}, TypeError, r"`decay` must be a real number in \[0, 1\), got 'x'\."),
        ({"decay": math.nan}, ValueError, r"`decay` must be in \[0, 1\), got nan\."),
        ({"population": 0}, ValueError, r"`population` must be a whole number of at least 1, got 0\."),
        ({"population": 2.5}, TypeError, r"`population` must be a whole number of at least 1, got 2\.5\."),
        ({"confidence": 1.0}, ValueError, r"`confidence` must be in \(0, 1\), got 1\.0\."),
        ({"per_coordinate": 1}, TypeError, r"`per_coordinate` must be True or False, got 1\."),
        ({"groups": {"a": [0, 1]}}, TypeError, r"`groups` must map names to slices of columns"),
    ],
)
def test_wrong_settings_are_refused_at_construction(settings, error, message):
    with pytest.raises(error, match=message):
        NoiseEstimator(**settings)


def test_another_shape_is_refused_by_naming_both(rng):
    estimator = NoiseEstimator().update(rng.normal(size=(4, 3)))
    with pytest.raises(ValueError, match=r"must have 3 columns as in earlier updates, got 5\."):
        estimator.update(rng.normal(size=(4, 5)))
    with pytest.raises(ValueError, match=r"must have 3 values as in earlier updates, got 5\."):
        estimator.accumulate(np.ones(5))


def test_a_step_without_rows_is_refused():
    with pytest.raises(ValueError, match="no row was accumulated for this step"):
        NoiseEstimator().update()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.merge(3), TypeError, "`other` must be a NoiseEstimator, got int"),
        (
            lambda e: e.update_moments(Moments.from_rows(np.ones((2, 4)))),
            ValueError,
            "`moments` must have dimension 3 as in earlier updates, got 4",
        ),
        (lambda e: e.accumulate(np.ones(3), weight=0.0), ValueError, "`weight` must be positive and finite"),
        (lambda e: e.accumulate(np.ones((1, 3))), ValueError, r"`row` must have shape \(D,\)"),
        (lambda e: e.accumulate(np.ones(3, dtype=int)), TypeError, "`row` must hold floating-point numbers"),
    ],
)
def test_wrong_calls_are_refused_in_one_sentence(rng, call, error, message):
    estimator = NoiseEstimator().update(rng.normal(size=(4, 3)))
    with pytest.raises(error, match=message):
        call(estimator)


def test_merging_different_settings_is_refused_and_changes_nothing(rng):
    estimator = settled(rng, steps=3)
    before = copy.deepcopy(estimator.state_dict())
    with pytest.raises(ValueError, match="`other` must have the same settings"):
        estimator.merge(NoiseEstimator(decay=0.5))
    with pytest.raises(ValueError, match="`other` must have dimension 30 as here, got 2"):
        estimator.merge(NoiseEstimator().update(np.ones((2, 2))))
    assert same(estimator.state_dict(), before)


def test_a_state_of_other_settings_is_refused(rng):
    with pytest.raises(ValueError, match="`state` must have been saved by"):
        NoiseEstimator(decay=0.5).load_state_dict(settled(rng, steps=1).state_dict())


def test_a_refused_step_changes_nothing(rng):
    estimator = settled(rng, steps=3, rows=4, dimension=3)
    before = copy.deepcopy(estimator.state_dict())
    with pytest.raises(ValueError, match="`weights` must hold one weight for each of the 4 rows, got 2"):
        estimator.update(rng.normal(size=(4, 3)), weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="`moments` must have dimension 3 as in earlier updates, got 4"):
        estimator.update_moments(Moments.from_rows(np.ones((2, 4))))
    assert same(estimator.state_dict(), before)
