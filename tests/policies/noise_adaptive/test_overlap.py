from __future__ import annotations

import math

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
    # Then one along the gradient, with cosine 1: the average lies between, and the step is seen on its own.
    overlap.update(path_moments(np.array([3.0, -4.0]), np.array([1.2, -1.6]), 1.0), 0.5)
    assert overlap.last == pytest.approx(1.0)
    assert -0.8 < overlap.cosine < 1.0
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
    fresh, own, step = [], [], None
    # A plane: the slope left at the end of a step is that at its start. The truth is the mean cosine of two
    # independent draws of slope and noise.
    pairs = slope + np.random.default_rng(8).normal(size=(2, 200_000, 10))
    lengths = np.linalg.norm(pairs, axis=2).prod(axis=0)
    truth = float(np.mean(np.einsum("nd,nd->n", *pairs) / lengths))
    for _ in range(4000):
        gradient = slope + rng.normal(size=10)
        if step is not None:
            one = StepOverlap()
            one.update(path_moments(gradient, step), lr)
            fresh.append(one.cosine)
        step = lr * gradient
        own.append(StepOverlap())
        own[-1].update(path_moments(gradient, step), lr)
    assert np.mean(fresh) == pytest.approx(truth, abs=standard_errors(fresh))
    assert 0.0 < truth < 0.05
    assert min(overlap.cosine for overlap in own) == pytest.approx(1.0)  # with itself: noise looks like slope


def test_overlap_ignores_steps_that_were_not_made():
    overlap = StepOverlap()
    overlap.update(Moments(4, 4.0, 2, 1.0, 0.0), 0.1)
    overlap.update(path_moments(np.ones(2), np.ones(2)), 0.0)
    assert overlap == StepOverlap()


def test_an_explosion_leaves_no_trace_in_the_overlap_after_twenty_steps():
    gradient, uphill = np.array([3.0, -4.0]), np.array([-0.6, 0.8])
    overlap, lr = StepOverlap(), 0.5
    products = lengths = 0.0  # of the biased alternative: averages of the parts
    for step in range(41):
        exploded = step == 20
        moments = path_moments(gradient, 1e6 * uphill if exploded else -uphill)
        overlap.update(moments, lr)
        products += 0.1 * (moments.step_product - products)
        lengths += 0.1 * (5.0 * math.sqrt(moments.step_squared_norm) - lengths)
        if exploded:
            assert overlap.last == pytest.approx(-1.0)
    # As one step in ten of memory it would count 2·.1·.9²⁰ = .02, as an outlier at most a few times that.
    assert 0.9 < overlap.cosine < 1.0
    assert products / lengths < -0.99  # still the explosion's


@pytest.mark.parametrize("hidden", [(np.ones(2), np.zeros(2)), (np.zeros(2), np.ones(2))])
def test_a_step_that_rounding_hides_or_without_a_gradient_is_no_evidence_and_ends_the_old(hidden):
    overlap = StepOverlap()
    for _ in range(30):
        overlap.update(path_moments(np.ones(2), -np.ones(2)), 0.5)
    assert overlap.cosine == pytest.approx(-1.0)
    overlap.update(path_moments(*hidden), 0.5)
    assert (overlap.cosine, overlap.last) == (None, 0.0)
    overlap.update(path_moments(np.ones(2), np.ones(2)), 0.5)
    assert overlap.cosine == pytest.approx(1.0)  # nothing of the thirty before


def test_a_new_stretch_forgets_overlaps_but_not_how_long_the_optimizer_makes_its_steps():
    overlap = StepOverlap()
    for _ in range(30):
        overlap.update(path_moments(np.ones(2), -3.0 * np.ones(2), 100.0), 0.5)
    overlap.begin()
    assert overlap.cosine is None
    assert overlap.scale == pytest.approx(6.0, rel=0.01)
    overlap.update(path_moments(np.ones(2), np.ones(2), 8.0), 0.5)
    assert overlap.cosine == pytest.approx(1.0)
    assert overlap.relative_length == pytest.approx(math.sqrt(2.0 / 8.0))  # of what is longest since
