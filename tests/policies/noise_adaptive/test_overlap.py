from __future__ import annotations

import numpy as np
import pytest

from nalr import Moments
from nalr.policies.noise_adaptive.overlap import StepOverlap
from tests.tolerances import standard_errors


def path_moments(gradient, step, displacement_squared=1.0):
    """Sums of one exact gradient and the step that led to it."""
    return Moments(
        4,
        4.0,
        gradient.size,
        float(gradient @ gradient),
        0.0,
        step_product=float(gradient @ step),
        step_squared_norm=float(step @ step),
        displacement_product=0.0,
        displacement_squared_norm=displacement_squared,
    )


def test_overlap_by_hand():
    overlap = StepOverlap()
    assert (overlap.cosine, overlap.scale, overlap.relative_length) == (None, 1.0, None)
    # |g| = 5 against a step of length 2 at rate 1/2: cosine −4/5; the step is .8 of the rate times |g|.
    overlap.update(path_moments(np.array([3.0, -4.0]), np.array([0.0, 2.0]), 64.0), 0.5)
    assert overlap.cosine == pytest.approx(-0.8)
    assert overlap.scale == pytest.approx(0.8)
    assert overlap.relative_length == pytest.approx(0.25)
    # Then one along the gradient: the averages weigh ⟨g, s⟩, so .9·(−8) + 10 over .9·10 + 10.
    overlap.update(path_moments(np.array([3.0, -4.0]), np.array([1.2, -1.6]), 1.0), 0.5)
    assert overlap.cosine == pytest.approx((0.9 * -8.0 + 10.0) / (0.9 * 10.0 + 10.0))
    assert overlap.relative_length == pytest.approx(0.25)  # of the longest, not of the last


def test_overlap_of_a_quadratic_held_up_by_noise_is_minus_half_of_kappa():
    rng = np.random.default_rng(6)
    for kappa in (0.1, 0.4):
        cosines, lr, curvature, x = [], 0.1, kappa / 0.1, np.zeros(20)
        overlap, step = StepOverlap(), None
        for _ in range(3000):
            gradient = curvature * x + rng.normal(size=20)
            if step is not None:
                overlap.update(path_moments(gradient, step), lr)
                cosines.append(overlap.cosine)
            step = lr * gradient
            x = x - step
        independent = np.array(cosines[200::40])
        # |ḡ||ḡ′| is below |ḡ|² by 1/2D or so of itself: see a cosine in few dimensions.
        assert np.mean(independent) == pytest.approx(-0.5 * kappa, abs=standard_errors(independent))


def test_overlap_is_unbiased_where_the_steps_own_gradient_counts_its_noise_as_slope():
    rng = np.random.default_rng(7)
    slope, lr = np.full(10, 0.1), 0.5
    truth = lr * float(slope @ slope)  # a plane: the slope left at the end of a step is that at its start
    fresh, own, step = [], [], None
    for _ in range(4000):
        gradient = slope + rng.normal(size=10)
        if step is not None:
            one = StepOverlap()
            one.update(path_moments(gradient, step), lr)
            fresh.append(one.product / (1.0 - StepOverlap.DECAY))
        step = lr * gradient
        own.append(float(gradient @ step))
    assert np.mean(fresh) == pytest.approx(truth, abs=standard_errors(fresh))
    assert np.mean(own) == pytest.approx(truth + lr * 10.0, abs=standard_errors(own))


def test_overlap_ignores_steps_that_were_not_made():
    overlap = StepOverlap()
    overlap.update(Moments(4, 4.0, 2, 1.0, 0.0), 0.1)
    overlap.update(path_moments(np.ones(2), np.ones(2)), 0.0)
    assert overlap == StepOverlap()
