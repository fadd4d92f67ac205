"""The moving average, and which losses it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nalr.loss.smoother import LossSmoother
from tests.loss import oracles
from tests.loss.cases import EPS, fed


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
