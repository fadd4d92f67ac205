"""`smooth`, compiled, equals `update`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from nalr.loss.butterworth import low_pass_sections
from nalr.loss.smoother import LossSmoother
from tests.helpers import run_python
from tests.loss.cases import SETTINGS, fed, noisy_losses


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


@pytest.mark.slow
def test_importing_smoothing_does_not_import_numba():
    program = (
        "import sys, nalr.loss.smoother as s; x = s.LossSmoother(window=3, cutoff=.1); x.update(1.0); "
        "x.reading(); sys.exit('numba' in sys.modules)"
    )
    assert run_python("-c", program).returncode == 0
