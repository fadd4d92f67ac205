"""Our |G|² and tr Σ against the formulas of the papers that use them, computed here from the papers' text."""

from __future__ import annotations

import numpy as np
import pytest

from nalr import NoiseEstimator

EPS = np.finfo(np.float64).eps

CASES = [(2, 1, 0.0), (4, 8, 0.3), (8, 32, 1.0), (16, 1, 10.0)]
"""Replicas, samples of each, mean of each coordinate in its standard deviations."""


def replicas(rng, count, mean, dim=40):
    """Return the gradients of `count` replicas, of different variances in different coordinates."""
    return mean + rng.normal(size=(count, dim)) * np.arange(1, dim + 1) ** -0.25


def ours(gradients, samples=1.0):
    """Return the unclamped (|G|², tr Σ) of one step, each row the mean of `samples`."""
    estimator = NoiseEstimator().update(gradients, [samples] * len(gradients))
    return estimator.signal, estimator.total_variance


def same(found, expected, gradients):
    """Assert equality up to the rounding of differences of squared norms, which is what the papers take."""
    scale = np.sum(np.square(gradients)) / (len(gradients) - 1)
    assert found == pytest.approx(expected, rel=0.0, abs=8 * EPS * gradients.size * scale)


@pytest.mark.parametrize(("count", "samples", "mean"), CASES)
def test_mccandlish_of_a_small_and_a_large_batch(rng, count, samples, mean):
    """1812.06162, appendix A.1: two batch sizes, b and B = S b, the small one averaged over the replicas."""
    gradients = replicas(rng, count, mean)
    small, large = samples, count * samples
    small_norm = np.mean(np.sum(gradients**2, axis=1))
    large_norm = np.sum(gradients.mean(axis=0) ** 2)
    signal = (large * large_norm - small * small_norm) / (large - small)
    variance = (small_norm - large_norm) / (1 / small - 1 / large)
    found = ours(gradients, samples)
    same(found[0], signal, gradients)
    same(found[1] / samples, variance / samples, gradients)


@pytest.mark.parametrize("reference", [1.0, 64.0])
@pytest.mark.parametrize(("count", "samples", "mean"), CASES)
def test_pollux_of_several_replicas(rng, count, samples, mean, reference):
    """OSDI 2021, as its package AdaptDL has it: the variance is that of a batch of M₀, `scale` is B/M₀."""
    gradients = replicas(rng, count, mean)
    local = np.mean(np.sum(gradients**2, axis=1))
    total = np.sum(gradients.mean(axis=0) ** 2)
    scale = count * samples / reference
    grad_sqr = (count * total - local) / (count - 1)
    grad_var = (local - total) * scale / (count - 1)
    found = ours(gradients, samples)
    same(found[0], grad_sqr, gradients)
    same(found[1] / samples, grad_var * reference / samples, gradients)


def test_pollux_of_one_replica_compares_successive_steps_as_ours_does(rng):
    before, now = replicas(rng, 2, 0.3)
    samples, reference = 16.0, 4.0
    local = (before @ before + now @ now) / 2
    total = np.sum(((before + now) / 2) ** 2)
    count, scale = 2, 2 * samples / reference
    estimator = NoiseEstimator(decay=0.0).update([before], [samples]).update([now], [samples])
    assert estimator.reading().source == "steps"
    both = np.array([before, now])
    same(estimator.signal, (count * total - local) / (count - 1), both)
    variance = (local - total) * scale / (count - 1)
    same(estimator.total_variance / samples, variance * reference / samples, both)


@pytest.mark.parametrize(("count", "samples", "mean"), CASES)
def test_adascale_of_several_replicas(rng, count, samples, mean):
    """2007.05105, appendix B.3: σ² of one replica's gradient and μ², from S of them."""
    gradients = replicas(rng, count, mean)
    mean_norm = np.sum(gradients.mean(axis=0) ** 2)
    sigma2 = np.sum(gradients**2) / (count - 1) - count / (count - 1) * mean_norm
    mu2 = mean_norm - sigma2 / count
    found = ours(gradients, samples)
    same(found[0], mu2, gradients)
    same(found[1] / samples, sigma2, gradients)


def test_gain_and_efficiency_are_functions_of_our_noise_scale(rng):
    """AdaScale's gain of S replicas and Pollux's efficiency of batch M beside M₀, from B_simple alone."""
    count, samples = 8, 32
    reading = NoiseEstimator().update(replicas(rng, count, 1.0), [samples] * count).reading()
    sigma2, mu2 = reading.total_variance / samples, reading.signal
    noise_scale = reading.gradient_noise_scale
    gain = (sigma2 + mu2) / (sigma2 / count + mu2)
    batch = count * samples
    efficiency = (noise_scale + samples) / (noise_scale + batch)
    assert gain == pytest.approx(count * efficiency, rel=16 * EPS)
    assert 1.0 < gain < count


def test_pooled_replicas_of_unequal_size_are_samples_grouped_anyhow(rng):
    """The unequal form against its definition: with all samples known, groups differ but share the truth."""
    sizes = np.array([1, 2, 4, 9])
    draws = 4000
    found = np.zeros((draws, 2))
    for k in range(draws):
        means = np.array([rng.normal(0.2, 1.0 / np.sqrt(size), size=10) for size in sizes])
        estimator = NoiseEstimator(decay=0.0).update(means, sizes)
        found[k] = estimator.signal, estimator.total_variance
    errors = found.std(axis=0, ddof=1) / np.sqrt(draws)
    assert np.all(np.abs(found.mean(axis=0) - [10 * 0.2**2, 10.0]) < 4 * errors)


@pytest.mark.slow
def test_clamping_each_step_as_adascale_code_does_is_not_ours(rng):
    """|G|² = .0025, tr Σ = 50, D = 50, 4 replicas of 8: the clamped average is some 58 times too high."""
    true, dim, count, samples = 0.0025, 50, 4, 8
    estimator, clamped = NoiseEstimator(decay=0.999_999), []
    for _ in range(20_000):
        gradients = np.sqrt(true / dim) + rng.normal(0, 1 / np.sqrt(samples), size=(count, dim))
        estimator.update(gradients, [samples] * count)
        sigma2 = gradients.var(axis=0, ddof=1).sum()
        clamped.append(max(np.sum(gradients.mean(axis=0) ** 2) - sigma2 / count, 0.0))
    spread = np.sqrt(2 / dim) * dim / samples / np.sqrt(count * (count - 1))  # of one step's |G|²
    assert np.mean(clamped) / true == pytest.approx(58, abs=4)
    assert abs(estimator.signal - true) < 4 * spread / np.sqrt(20_000)
