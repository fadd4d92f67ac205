"""The description's import path for the three main classes; re-exports only."""

from nalr.controller import NoiseAdaptiveLR
from nalr.loss.smoother import LossSmoother
from nalr.noise.estimator import NoiseEstimator

__all__ = ["LossSmoother", "NoiseAdaptiveLR", "NoiseEstimator"]
