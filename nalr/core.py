"""The description's import path for the three main classes; re-exports only."""

from nalr.controller import NoiseAdaptiveLR
from nalr.noise import NoiseEstimator
from nalr.smoothing import LossSmoother

__all__ = ["LossSmoother", "NoiseAdaptiveLR", "NoiseEstimator"]
