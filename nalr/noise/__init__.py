"""Gradient noise: total variance, signal and noise scale, with intervals."""

from nalr.noise.estimator import NoiseEstimator
from nalr.noise.one_batch import compute_gradient_variance
from nalr.noise.reading import NoiseReading

__all__ = ["NoiseEstimator", "NoiseReading", "compute_gradient_variance"]
