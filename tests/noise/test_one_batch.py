from __future__ import annotations

import copy
import math
import warnings

import numpy as np
import pytest

from nalr import NoiseEstimator, NoiseWarning, create_noisy_landscape
from nalr.noise.one_batch import compute_gradient_variance
from tests.cases import batches
from tests.noise.helpers import same, settled
from tests.tolerances import rounding

BATCHES = {name: rows for name, rows in batches().items() if name != "huge"}


def test_noise_of_standard_normal_gradients_is_near_one(rng):
    noise = NoiseEstimator().estimate_noise(rng.normal(size=(32, 10)))
    assert noise == pytest.approx(1.0, abs=4.0 / math.sqrt(2 * 31 * 10))


def test_noise_of_a_landscape_is_its_noise_scale():
    landscape = create_noisy_landscape(dim=2, noise_scale=0.5, seed=1)
    rows = landscape.sample_gradients(np.array([3.0, 3.0]), 4096)
    assert NoiseEstimator().estimate_noise(rows) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("name", BATCHES)
def test_variance_equals_numpy_in_long_double(name):
    rows = BATCHES[name]
    wide = np.asarray(rows, dtype=np.longdouble).var(axis=0, ddof=1).astype(float)
    tolerance = rounding(np.asarray(rows, dtype=float))
    variance = NoiseEstimator().compute_variance(rows)
    np.testing.assert_allclose(variance, wide, rtol=tolerance, atol=tolerance * wide.max())
    noise = NoiseEstimator().estimate_noise(rows)
    assert noise == pytest.approx(math.sqrt(wide.mean()), rel=10.0 * rounding(rows), abs=0.0)
    np.testing.assert_array_equal(compute_gradient_variance(rows), variance)


def test_measuring_a_batch_changes_no_state(rng):
    estimator = settled(rng, steps=3)
    before = copy.deepcopy(estimator.state_dict())
    estimator.estimate_noise(rng.normal(size=(4, 7)))
    estimator.compute_variance(rng.normal(size=(4, 7)))
    assert same(estimator.state_dict(), before)


def test_one_row_gives_zero_and_one_warning(rng):
    estimator = NoiseEstimator()
    row = rng.normal(size=(1, 5))
    with pytest.warns(NoiseWarning, match="one row says nothing about gradient noise"):
        assert estimator.estimate_noise(row) == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimator.estimate_noise(row) == 0.0
        np.testing.assert_array_equal(estimator.compute_variance(row), np.zeros(5))
