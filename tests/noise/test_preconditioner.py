from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from nalr import NoiseEstimator
from tests.noise.helpers import same


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_preconditioned_noise_is_that_of_scaled_rows(rng, kind, order):
    rows = np.asarray(2.0 + rng.normal(size=(6, 5)), dtype=kind, order=order)
    scale = np.array([4.0, 1.0, 0.25, 9.0, 0.01])
    settings = {"groups": {"end": slice(3, 5)}}
    scaled = NoiseEstimator(**settings).update(rows.astype(float) * np.sqrt(scale)).reading()
    reading = NoiseEstimator(**settings).update(rows, preconditioner=scale).reading()
    for name in ("total_variance", "signal", "gradient_noise_scale", "signal_interval"):
        assert getattr(reading, name) == pytest.approx(getattr(scaled, name), rel=1e-5)
    assert reading.groups["end"].signal == pytest.approx(scaled.groups["end"].signal, rel=1e-5)


def test_preconditioned_noise_reads_layers_and_rows_one_by_one(rng):
    rows, scale = rng.normal(size=(5, 40_000)), rng.uniform(0.1, 3.0, size=40_000)
    whole, stream = NoiseEstimator().update(rows, preconditioner=scale), NoiseEstimator()
    for row in rows:
        stream.accumulate([row[:100], row[100:]], preconditioner=scale)
    layers = NoiseEstimator().update([rows[:, :7], rows[:, 7:].reshape(5, -1, 3)], preconditioner=scale)
    for other in (stream.update(), layers):
        assert other.reading().total_variance == pytest.approx(whole.reading().total_variance, rel=1e-12)


def test_preconditioned_noise_scale_does_not_change_with_the_units_of_a_parameter(rng):
    # A parameter in other units has gradients u times as large; Adam's P is then 1/u of what it was.
    units = np.array([1.0, 1e3, 1e-3, 10.0])
    rows = 1.0 + rng.normal(size=(64, 4))
    adam = 1.0 / np.sqrt((rows**2).mean(axis=0))
    plain = NoiseEstimator().update(rows, preconditioner=adam).reading().gradient_noise_scale
    other = NoiseEstimator().update(rows * units, preconditioner=adam / units)
    squared = NoiseEstimator().update(rows * units, preconditioner=adam / units**2)
    assert squared.reading().gradient_noise_scale == pytest.approx(plain, rel=1e-12)
    assert other.reading().gradient_noise_scale != pytest.approx(plain, rel=0.01)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preconditioner": np.zeros(3)}, "`preconditioner` must hold positive, finite numbers, got"),
        ({"preconditioner": np.ones(2)}, "`preconditioner` must have 3 values as in earlier updates, got 2"),
        ({"hessian_step": np.ones(4)}, "`hessian_step` must have 3 values as in earlier updates, got 4"),
        ({"hessian_step": np.array([1.0, math.nan, 0.0])}, "`hessian_step` must hold finite numbers, got"),
    ],
)
def test_wrong_vectors_are_refused_and_change_nothing(rng, given, message):
    estimator = NoiseEstimator().update(rng.normal(size=(2, 3)))
    before = copy.deepcopy(estimator.state_dict())
    with pytest.raises(ValueError, match=message):
        estimator.update(rng.normal(size=(1, 3)), **given)
    assert same(estimator.state_dict(), before)
