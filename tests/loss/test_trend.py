"""The slope is that of weighted least squares, and its standard error covers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.loss.smoother import LossSmoother
from nalr.loss.trend import Trend
from tests.loss import oracles
from tests.loss.cases import coverage, fed, noisy_losses, trends
from tests.tolerances import rounding


@pytest.mark.parametrize("steps", [3, 4, 10, 60, 500])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_line_equals_weighted_least_squares_over_the_whole_history(rng, steps, decay):
    losses = 3.0 - 0.2 * np.arange(steps) + rng.normal(size=steps)
    trend = Trend(decay)
    trend.fold(losses.tolist())
    level, slope, square, variance = oracles.line(losses, decay)
    tolerance = 10 * rounding(losses)
    s = trend.state
    noise_spread = s.spread2 + s.weight2 * (s.age2 - s.age) ** 2
    ours = [s.level, s.slope, s.square, noise_spread / s.spread**2]
    np.testing.assert_allclose(ours, [level, slope, square, variance], rtol=tolerance, atol=tolerance)


def test_settled_gains_continue_the_exact_ones(rng):
    losses = rng.normal(size=1200)
    settled, exact = Trend(0.9), Trend(0.9)
    exact.settled = 10**9
    settled.fold(losses.tolist())
    exact.fold(losses.tolist())
    assert settled.settled < 600
    for name in ("level", "slope", "square", "cross"):
        assert getattr(settled.state, name) == pytest.approx(getattr(exact.state, name), rel=1e-10)


@pytest.mark.parametrize("split", [1, 7, 256, 449, 450, 451, 900])
def test_fold_does_not_depend_on_how_the_losses_are_split(rng, split):
    losses = rng.normal(size=1000)
    losses[[0, 200, 700]] = 1e200
    whole, parts = Trend(0.9), Trend(0.9)
    whole.fold(losses.tolist())
    for start in range(0, 1000, split):
        parts.fold(losses[start : start + split].tolist())
    assert whole.state == parts.state


@pytest.mark.slow
@pytest.mark.parametrize("steps", [30, 60, 200, 1000])
def test_standard_error_covers_the_slope_with_independent_noise(rng, steps):
    assert 0.90 <= coverage(rng, 0.0, steps)[0] <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("steps", [30, 60, 200, 1000])
def test_standard_error_covers_the_slope_with_correlated_noise_where_the_usual_one_fails(rng, steps):
    ours, independent = coverage(rng, 0.5, steps)
    assert 0.90 <= ours <= 0.98
    assert independent < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 0.99])
@pytest.mark.parametrize("phi", [0.0, 0.5])
def test_standard_error_covers_the_slope_at_other_alphas(rng, alpha, phi):
    assert 0.90 <= coverage(rng, phi, 400, alpha)[0] <= 0.98


def test_noise_is_the_standard_deviation_about_the_trend(rng):
    for phi in (0.0, 0.5):
        readings = []
        for losses in trends(rng, 400, 200, phi):
            readings.append(fed(losses)[0].reading().noise ** 2)
        assert np.mean(readings) == pytest.approx(1.0, abs=4 * np.std(readings) / math.sqrt(400) + 0.02)


@pytest.mark.parametrize("offset", [0.0, 1e8, -1e8])
def test_an_offset_does_not_hide_the_slope(rng, offset):
    losses = trends(rng, 1, 20_000, 0.0, slope=1e-3)[0] - 1000.0
    reading = fed(losses + offset, alpha=0.999)[0].reading()
    assert reading.slope == pytest.approx(1e-3, abs=4 * reading.slope_standard_error)
    assert reading.slope_standard_error < 1e-4
    assert reading.noise == pytest.approx(1.0, abs=0.1)
    # Raw sums lose it: 1e8² leaves no digit of a variance of 1.
    shifted = losses + 1e8
    assert abs(np.mean(shifted * shifted) - np.mean(shifted) ** 2 - np.var(losses)) > 0.5


def test_slope_is_still_exact_after_a_million_steps(rng):
    steps = 1_000_000
    smoother = LossSmoother()
    for loss in (1e6 - 0.5 * np.arange(steps)).tolist():
        smoother.update(loss)
    reading = smoother.reading()
    assert reading.count == steps
    assert reading.slope == pytest.approx(-0.5, rel=1e-9)


def test_slope_sees_the_losses_after_the_spike_filter_and_before_the_low_pass(rng):
    losses = noisy_losses(rng)[:150]
    losses = losses[np.isfinite(losses)]
    trend = Trend(1 - 1 / 40)
    trend.fold(oracles.without_spikes(losses, 9, 5).tolist())
    assert fed(losses, window=9, cutoff=0.05)[0].reading().slope == trend.state.slope


def test_the_compiled_line_equals_the_interpreted_one_to_the_bit(rng):
    from nalr.loss import trend

    losses = (5.0 + rng.normal(size=1000)).tolist()
    line = (5.0, -0.01, 3.0, 0.2, 0.1)
    interpreted = trend._glide(line, losses, 0.9, 0.81, 0.01)
    assert trend._glide_compiled(line, losses, 0.9, 0.81, 0.01) == interpreted
