"""The low-pass equals SciPy, the spike filter the medians of NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import signal

from nalr.loss.butterworth import low_pass_delay, low_pass_sections
from nalr.loss.smoother import LossSmoother
from tests.loss import oracles
from tests.loss.cases import EPS, fed, filter_rounding, noisy_losses


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("cutoff", [0.01, 0.1, 0.25, 0.45])
def test_low_pass_equals_scipy(rng, order, cutoff):
    losses = 5.0 + rng.normal(size=300)
    ours = fed(losses, alpha=0.0, cutoff=cutoff, order=order)[1]
    tolerance = 300 * order * filter_rounding(cutoff)
    np.testing.assert_allclose(ours, oracles.low_pass(losses, order, cutoff), rtol=tolerance)


@pytest.mark.parametrize("order", [1, 2, 5, 20])
@pytest.mark.parametrize("cutoff", [1e-5, 0.2, 0.49999])
def test_design_halves_the_power_at_the_cutoff_and_passes_a_constant(order, cutoff):
    sections = low_pass_sections(order, cutoff)
    z = np.exp(-2j * math.pi * cutoff)
    gain = abs(
        math.prod((b0 + b1 * z + b2 * z * z) / (1 + a1 * z + a2 * z * z) for b0, b1, b2, a1, a2 in sections)
    )
    assert gain == pytest.approx(math.sqrt(0.5), rel=8 * order * filter_rounding(cutoff))
    for b0, b1, b2, a1, a2 in sections:
        assert b0 + b1 + b2 == pytest.approx(1 + a1 + a2, rel=4 * EPS)


@pytest.mark.parametrize("order", [1, 2, 7])
@pytest.mark.parametrize("cutoff", [1e-5, 0.01, 0.3, 0.49999])
def test_a_constant_loss_passes_without_transient_or_drift(order, cutoff):
    smoothed = LossSmoother(cutoff=cutoff, order=order).smooth(np.full(20_000, 1234.5))
    np.testing.assert_allclose(smoothed, 1234.5, rtol=order * filter_rounding(cutoff))


def test_delay_equals_the_group_delay_of_scipy():
    for order in (1, 2, 3, 6):
        b, a = signal.butter(order, 0.2)
        steps = np.arange(order + 1)
        exact = steps @ b / b.sum() - steps @ a / a.sum()
        assert low_pass_delay(order, 0.1) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize(
    "settings", [{}, {"alpha": 0.0}, {"cutoff": 0.03}, {"cutoff": 0.1, "order": 5}], ids=str
)
def test_lag_is_how_far_the_value_trails_a_straight_line(settings):
    smoother, smoothed = fed(np.arange(2000.0), **settings)
    assert 1999.0 - smoothed[-1] == pytest.approx(smoother.reading().lag, abs=1e-8)


# The spike filter


@pytest.mark.parametrize("window", [3, 4, 5, 10, 21])
def test_spike_filter_equals_the_medians_of_numpy(rng, window):
    losses = noisy_losses(rng)
    losses = losses[np.isfinite(losses)]
    expected = oracles.without_spikes(losses, window, max(3, window // 2 + 1))
    smoother, cleaned = fed(losses, alpha=0.0, window=window)
    np.testing.assert_array_equal(cleaned, expected)
    assert smoother.reading().spikes == np.sum(expected != losses) > 0


def test_one_bad_batch_is_not_a_trend(rng):
    losses = 3.0 + 0.1 * rng.normal(size=100)
    losses[90] = 1e4
    assert abs(fed(losses, window=9)[0].reading().value - 3.0) < 0.2
    assert fed(losses)[0].reading().value > 100.0


@pytest.mark.parametrize("window", [5, 10, 21])
def test_a_lasting_change_of_level_gets_through_after_half_a_window(rng, window):
    losses = np.concatenate([np.zeros(50), np.full(50, 10.0)]) + 0.1 * rng.normal(size=100)
    cleaned = fed(losses, alpha=0.0, window=window)[1]
    assert cleaned[50] < 1.0
    assert np.all(cleaned[50 + window // 2 + 1 :] > 9.0)
