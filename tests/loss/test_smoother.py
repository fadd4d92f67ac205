from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from nalr.loss.butterworth import low_pass_delay, low_pass_sections
from nalr.loss.reading import LossReading, LossStatus
from nalr.loss.smoother import BLOCK, LossSmoother
from nalr.loss.trend import Trend
from tests.loss import oracles
from tests.tolerances import rounding

SETTINGS = [
    {},
    {"alpha": 0.0},
    {"alpha": 0.99},
    {"cutoff": 0.1},
    {"cutoff": 0.02, "order": 5, "alpha": 0.5},
    {"window": 3},
    {"window": 8},
    {"window": 11, "cutoff": 0.05, "order": 3},
]
EPS = np.finfo(np.float64).eps


def fed(losses, **settings):
    """A smoother that has seen `losses`, and what it returned."""
    smoother = LossSmoother(**settings)
    return smoother, np.array([smoother.update(loss) for loss in losses])


def noisy_losses(rng, size=500):
    """A falling loss with spikes, gaps and repeats."""
    losses = 2.0 + 3.0 * np.exp(-np.arange(size) / 100.0) + 0.1 * rng.normal(size=size)
    losses[rng.random(size) < 0.03] = 50.0
    losses[rng.random(size) < 0.02] = np.nan
    losses[rng.random(size) < 0.01] = np.inf
    losses[300:310] = losses[300]
    return losses


def trends(rng, runs, steps, phi, slope=-0.01):
    """`runs` straight lines of height 1000 under AR(1) noise of standard deviation 1."""
    noise = signal.lfilter([math.sqrt(1 - phi * phi)], [1.0, -phi], rng.normal(size=(runs, steps + 100)))
    return 1000.0 + slope * np.arange(steps) + noise[:, 100:]


def filter_rounding(cutoff):
    """One rounding as a filter amplifies it: its poles lie K = tan(π·cutoff) from 1, or 1/K from -1."""
    stretch = math.tan(math.pi * cutoff)
    return EPS / min(stretch, 1.0 / stretch) ** 2


def coverage(rng, phi, steps, alpha=0.9):
    """Share of 2000 trends within 1.96 standard errors: ours, and with the formula for independent noise."""
    ours = independent = 0
    for losses in trends(rng, 2000, steps, phi):
        smoother = LossSmoother(alpha)
        smoother._trend.fold(losses.tolist())
        slope, error, _ = smoother._trend.reading()
        correlation = smoother._trend.correlation()
        ours += abs(slope + 0.01) < 1.96 * error
        independent += abs(slope + 0.01) < 1.96 * error * math.sqrt((1 - correlation) / (1 + correlation))
    return ours / 2000, independent / 2000


# The moving average


def test_the_sequence_worked_out_by_hand():
    _, smoothed = fed([2.5, 2.3, 2.6, 2.1, 2.4, 2.0, 1.9], alpha=0.9)
    by_hand = [2.5, 2.48, 2.492, 2.4528, 2.44752, 2.402768, 2.3524912]
    np.testing.assert_allclose(smoothed, by_hand, rtol=8 * EPS)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9, 0.999])
def test_average_equals_the_weighted_sum_of_all_losses(rng, alpha):
    losses = rng.normal(size=200) + 3.0
    np.testing.assert_allclose(
        fed(losses, alpha=alpha)[1], oracles.moving_average(losses, alpha), rtol=400 * EPS
    )


def test_alpha_zero_returns_the_losses(rng):
    losses = rng.normal(size=50)
    np.testing.assert_array_equal(fed(losses, alpha=0.0)[1], losses)


def test_get_smoothed_loss_is_none_before_the_first_loss():
    smoother = LossSmoother()
    assert smoother.get_smoothed_loss() is None
    assert smoother.update(1.5) == smoother.get_smoothed_loss() == 1.5


@pytest.mark.parametrize(
    "loss", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), np.array([[2.0]]), np.float16(2)]
)
def test_every_kind_of_single_number_is_taken(loss):
    result = LossSmoother().update(loss)
    assert result == 2.0 and type(result) is float


def test_a_tensor_without_gradient_is_taken():
    torch = pytest.importorskip("torch")
    assert LossSmoother().update(torch.tensor(2.0)) == 2.0


@pytest.mark.parametrize("loss", [True, np.bool_(False), "2.0", None, 1j, [1.0, 2.0], np.ones(2), np.ones(0)])
def test_anything_else_is_refused_and_changes_nothing(loss):
    smoother, _ = fed([1.0, 2.0])
    before = smoother.state_dict()
    with pytest.raises(TypeError, match="`loss` must be a single real number, got "):
        smoother.update(loss)
    assert smoother.state_dict() == before


finite_losses = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
alphas = st.floats(0.0, 1.0, exclude_max=True)


@given(finite_losses, alphas)
def test_average_stays_within_the_losses_seen(losses, alpha):
    slack = 4 * len(losses) * EPS * max(map(abs, losses))
    for t, smoothed in enumerate(fed(losses, alpha=alpha)[1]):
        assert min(losses[: t + 1]) - slack <= smoothed <= max(losses[: t + 1]) + slack


@given(
    st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=3, max_size=40), st.integers(-30, 30)
)
def test_scaling_by_a_power_of_two_scales_every_number_exactly(losses, power):
    settings = {"window": 5, "cutoff": 0.1}
    scale = 2.0**power
    plain, smoothed = fed(losses, **settings)
    scaled, smoothed_scaled = fed([scale * loss for loss in losses], **settings)
    np.testing.assert_array_equal(smoothed_scaled, scale * smoothed)
    reading, reading_scaled = plain.reading(), scaled.reading()
    for name in ("value", "slope", "slope_standard_error", "noise"):
        assert getattr(reading_scaled, name) == scale * getattr(reading, name)
    assert reading_scaled.spikes == reading.spikes


@given(finite_losses, st.floats(-1e6, 1e6))
def test_adding_a_constant_adds_it_to_the_value_and_leaves_the_slope(losses, constant):
    size = abs(constant) + max(map(abs, losses))
    settings = {"cutoff": 0.1}
    plain, smoothed = fed(losses, **settings)
    shifted, smoothed_shifted = fed([loss + constant for loss in losses], **settings)
    # Errors of one rounding each loss, amplified by the filter's gain of rounding noise, 1/K² at most.
    tolerance = 8 * EPS * size * len(losses) / math.tan(math.pi * 0.1) ** 2 + 1e-300
    np.testing.assert_allclose(smoothed_shifted, smoothed + constant, rtol=0, atol=tolerance)
    if len(losses) >= 3:
        assert abs(shifted.reading().slope - plain.reading().slope) <= tolerance


# The compiled loop


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_smooth_equals_update_bit_for_bit(rng, settings):
    losses = noisy_losses(rng)
    np.testing.assert_array_equal(LossSmoother(**settings).smooth(losses), fed(losses, **settings)[1])


@given(st.lists(st.floats(), max_size=40), st.sampled_from(SETTINGS))
def test_smooth_equals_update_on_any_floats(losses, settings):
    np.testing.assert_array_equal(LossSmoother(**settings).smooth(losses), fed(losses, **settings)[1])


@pytest.mark.parametrize("order", [1, 3, 4, 6, 7, 8, 9, 17])
def test_smooth_equals_update_over_many_blocks_and_groups_of_sections(rng, order):
    losses = 2.0 + rng.normal(size=2500)
    settings = {"cutoff": 0.05, "order": order}
    np.testing.assert_array_equal(LossSmoother(**settings).smooth(losses), fed(losses, **settings)[1])


@pytest.mark.parametrize("order", [2, 5, 9])
def test_smooth_starts_the_filter_anew_where_update_does(rng, order):
    losses = rng.normal(size=2500)
    losses[1200:1240] = 8.9e307 * np.sign(rng.normal(size=40))  # the filter's overshoot is not finite
    settings = {"cutoff": 0.45, "order": order, "alpha": 0.5}
    smoothed = LossSmoother(**settings).smooth(losses)
    np.testing.assert_array_equal(smoothed, fed(losses, **settings)[1])
    assert np.isfinite(smoothed).all()
    # Without the restart it would not be: the filter alone overflows there.
    sections = np.insert(low_pass_sections(order, 0.45), 3, 1.0, axis=1)
    assert not np.isfinite(signal.sosfilt(sections, losses)).all()


def test_smooth_starts_afresh_and_leaves_the_smoother_alone(rng):
    losses = noisy_losses(rng)
    smoother, _ = fed(losses[:77], window=5, cutoff=0.1)
    before = smoother.state_dict()
    np.testing.assert_array_equal(smoother.smooth(losses), LossSmoother(window=5, cutoff=0.1).smooth(losses))
    assert smoother.state_dict() == before


def test_smooth_of_nothing_is_nothing_and_of_no_finite_loss_is_nan():
    assert LossSmoother().smooth([]).shape == (0,)
    np.testing.assert_array_equal(LossSmoother().smooth([np.nan, np.inf]), [np.nan, np.nan])


@pytest.mark.parametrize("kind", [np.float32, np.int32, ">f8"])
def test_smooth_takes_any_real_type_and_stride(rng, kind):
    losses = (100 * rng.normal(size=40)).astype(kind)
    np.testing.assert_array_equal(LossSmoother().smooth(losses[::2]), fed(losses[::2].astype(float))[1])


def test_smooth_refuses_what_is_no_series_of_numbers():
    with pytest.raises(TypeError, match="`losses` must hold real numbers, got dtype bool."):
        LossSmoother().smooth([True, False])
    with pytest.raises(ValueError, match=r"`losses` must have shape \(T,\), got shape \(2, 2\)."):
        LossSmoother().smooth(np.ones((2, 2)))


def test_each_kernel_compiles_once(rng):
    from nalr.kernels import smoothing as kernels

    smoother = LossSmoother(window=5, cutoff=0.1)
    for losses in (noisy_losses(rng), np.ones(3, dtype=np.float32), [1, 2, 3]):
        smoother.smooth(losses)
    for kernel in (kernels.spike_filter, kernels.low_pass, kernels.ema):
        assert len(kernel.signatures) == 1


def test_importing_smoothing_does_not_import_numba():
    program = (
        "import sys, nalr.loss.smoother as s; x = s.LossSmoother(window=3, cutoff=.1); x.update(1.0); "
        "x.reading(); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# The low-pass


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


# The slope


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


@pytest.mark.parametrize("steps", [30, 60, 200, 1000])
def test_standard_error_covers_the_slope_with_independent_noise(rng, steps):
    assert 0.90 <= coverage(rng, 0.0, steps)[0] <= 0.98


@pytest.mark.parametrize("steps", [30, 60, 200, 1000])
def test_standard_error_covers_the_slope_with_correlated_noise_where_the_usual_one_fails(rng, steps):
    ours, independent = coverage(rng, 0.5, steps)
    assert 0.90 <= ours <= 0.98
    assert independent < 0.85


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
    # Raw sums lose it: 1e8² leaves nothing of a variance of 1.
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


# Hostile losses


def test_nonfinite_losses_are_counted_and_skipped(rng):
    losses = noisy_losses(rng)
    finite = losses[np.isfinite(losses)]
    for settings in SETTINGS:
        smoother, smoothed = fed(losses, **settings)
        clean, smoothed_clean = fed(finite, **settings)
        np.testing.assert_array_equal(smoothed[np.isfinite(losses)], smoothed_clean)
        reading = dataclasses.replace(smoother.reading(), nonfinite=0, status=LossStatus.OK)
        assert reading == clean.reading()
        assert smoother.reading().nonfinite == losses.size - finite.size


def test_nothing_but_nonfinite_losses_gives_nan():
    smoother, smoothed = fed([np.nan, np.inf, -np.inf])
    assert np.isnan(smoothed).all() and smoother.get_smoothed_loss() is None
    assert smoother.reading().nonfinite == 3 and smoother.reading().status is LossStatus.NO_LOSS


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("huge", [1e155, 1e300, -1e300, 1.7e308])
def test_a_huge_loss_passes_by(rng, settings, huge):
    calm = (3.0 + 0.1 * rng.normal(size=60)).tolist()
    smoother, smoothed = fed([*calm[:30], huge, -huge, huge, *calm[30:]], **settings)
    assert np.isfinite(smoothed).all()
    assert all(math.isfinite(x) for x in dataclasses.astuple(smoother.reading())[:5])
    for loss in (3.0 + 0.1 * rng.normal(size=40_000)).tolist():
        smoother.update(loss)
    reading = smoother.reading()
    if settings.get("alpha") != 0.99:  # which takes 68 000 steps to forget 1e300
        assert reading.value == pytest.approx(3.0, abs=0.5)
    assert abs(reading.slope) < 5 * reading.slope_standard_error
    assert reading.noise == pytest.approx(0.1, rel=0.5)


@given(st.lists(st.floats(), max_size=60), st.sampled_from(SETTINGS))
def test_no_losses_make_a_reading_raise_or_the_value_infinite(losses, settings):
    smoother, _ = fed(losses, **settings)
    reading = smoother.reading()
    finite = sum(abs(loss) < np.finfo(float).max / 2 for loss in losses)
    assert (reading.count, reading.nonfinite) == (finite, len(losses) - finite)
    assert math.isfinite(reading.value) == (finite > 0)
    again = LossSmoother(**settings)
    again.load_state_dict(smoother.state_dict())
    assert repr(again.reading()) == repr(reading)


@pytest.mark.parametrize("loss", [0.0, 1e-300, 1e8, -3.7, 1e300])
def test_a_constant_loss_has_no_slope_and_no_noise(loss):
    reading = fed([loss] * 200)[0].reading()
    assert reading.value == pytest.approx(loss, rel=400 * EPS)
    assert reading.slope == 0.0 and reading.slope_standard_error == 0.0 and reading.noise == 0.0


# Readings


@pytest.mark.parametrize(
    ("losses", "status"),
    [
        ([], "no loss seen yet"),
        ([1.0], "too few losses for a slope (needs 3)"),
        ([1.0, 2.0], "too few losses for a slope (needs 3)"),
        ([1.0, 2.0, 2.5], "few losses: the standard error may be too small (trust it from 30)"),
        ([1.0] * 30, "ok"),
        ([1.0] * 30 + [math.nan], "the latest loss was not finite and was skipped"),
        ([1.0] * 30 + [math.nan, 1.0], "ok"),
    ],
)
def test_status_says_what_the_numbers_are_worth(losses, status):
    reading = fed(losses)[0].reading()
    assert reading.status == status and str(reading.status) == status
    assert math.isnan(reading.slope) == math.isnan(reading.slope_standard_error) == (len(losses) < 3)


def test_reading_is_frozen_and_reading_changes_nothing(rng):
    losses = noisy_losses(rng)
    read, unread = LossSmoother(window=5), LossSmoother(window=5)
    for loss in losses:
        read.update(loss)
        unread.update(loss)
        reading = read.reading()
    assert reading == unread.reading() and isinstance(reading, LossReading)
    with pytest.raises(dataclasses.FrozenInstanceError):
        reading.value = 0.0


# Settings and state


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"alpha": 1.0}, ValueError, r"`alpha` must be in \[0, 1\), got 1.0."),
        ({"alpha": -0.1}, ValueError, r"`alpha` must be in \[0, 1\), got -0.1."),
        ({"alpha": math.nan}, ValueError, r"`alpha` must be in \[0, 1\), got nan."),
        ({"alpha": "0.9"}, TypeError, r"`alpha` must be a real number in \[0, 1\), got '0.9'."),
        ({"cutoff": 0.5}, ValueError, r"`cutoff` must be in \[1e-05, 0.49999\], got 0.5."),
        ({"cutoff": 0.0}, ValueError, r"`cutoff` must be in \[1e-05, 0.49999\], got 0.0."),
        ({"order": 0}, ValueError, "`order` must be a whole number of at least 1, got 0."),
        ({"order": 2.0}, TypeError, "`order` must be a whole number of at least 1, got 2.0."),
        ({"window": 2}, ValueError, "`window` must be a whole number of at least 3, got 2."),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(settings, error, message):
    with pytest.raises(error, match=message):
        LossSmoother(**settings)


def test_repr_shows_the_settings():
    text = "LossSmoother(alpha=0.5, cutoff=0.1, order=3, window=7)"
    assert repr(LossSmoother(0.5, cutoff=0.1, order=3, window=7)) == text


def test_reset_gives_a_fresh_smoother(rng):
    losses = noisy_losses(rng)
    smoother, smoothed = fed(losses, cutoff=0.1, window=5)
    smoother.reset()
    assert smoother.state_dict() == LossSmoother(cutoff=0.1, window=5).state_dict()
    np.testing.assert_array_equal([smoother.update(loss) for loss in losses], smoothed)


@pytest.mark.parametrize("settings", [{"alpha": 0.2}, {"window": 6, "cutoff": 0.1, "order": 3}], ids=str)
def test_resuming_at_any_step_gives_the_same_bits(rng, settings):
    losses = np.concatenate([noisy_losses(rng), rng.normal(size=BLOCK)])
    whole, smoothed = fed(losses, **settings)
    first = LossSmoother(**settings)
    for cut, loss in enumerate(losses[:-1], start=1):
        first.update(loss)
        if cut > 40 and cut % 23:
            continue  # every cut of the start, then some
        second = LossSmoother(**settings)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        np.testing.assert_array_equal([second.update(later) for later in losses[cut:]], smoothed[cut:])
        assert second.state_dict() == whole.state_dict()
        assert second.reading() == whole.reading()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_state_dict_holds_plain_types_only_and_is_a_copy(rng, settings):
    smoother, _ = fed(np.float32(noisy_losses(rng)), **settings)
    saved = smoother.state_dict()
    for value in (saved | {"settings": None}).values():
        for item in value if type(value) is list else [value]:
            assert item is None or type(item) in (int, float)
    again = LossSmoother(**settings)
    again.load_state_dict(saved)
    again.update(1e3)
    assert saved == smoother.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": repr(LossSmoother(0.5))}, r"`state` must have been saved by LossSmoother\(alpha=0.9, "),
        ({"extra": 1}, r"`state` must come from `LossSmoother.state_dict\(\)`, got keys "),
        ({"count": 1.5}, "`state` must hold a whole number under 'count', got 1.5."),
        ({"trend_slope": math.nan}, "`state` must hold a finite float under 'trend_slope', got nan."),
        ({"recent": [1.0]}, "`state` must hold 5 numbers under 'recent', got 1."),
        ({"memory": [1.0, "a"]}, "`state` must hold a list of finite floats under 'memory', got "),
        (
            {"smoothed": None},
            "`state` must hold a smoothed loss once there is a count, got None with count 30.",
        ),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(rng, change, message):
    settings = {"window": 5, "cutoff": 0.1}
    smoother, _ = fed(rng.normal(size=30), **settings)
    before = smoother.state_dict()
    with pytest.raises(ValueError, match=message):
        smoother.load_state_dict({**before, **change})
    assert smoother.state_dict() == before


@pytest.mark.parametrize("state", [None, {}, [1]])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match=r"`state` must have been saved by LossSmoother\("):
        LossSmoother().load_state_dict(state)


def test_the_compiled_line_equals_the_interpreted_one_to_the_bit(rng):
    from nalr.loss import trend

    losses = (5.0 + rng.normal(size=1000)).tolist()
    line = (5.0, -0.01, 3.0, 0.2, 0.1)
    interpreted = trend._glide(line, losses, 0.9, 0.81, 0.01)
    assert trend._glide_compiled(line, losses, 0.9, 0.81, 0.01) == interpreted
