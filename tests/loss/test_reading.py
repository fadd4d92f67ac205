"""Losses that are not finite, and what a reading says."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nalr.loss.reading import LossReading, LossStatus
from nalr.loss.smoother import LossSmoother
from tests.loss.cases import EPS, SETTINGS, fed, noisy_losses


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
