"""The loss under its noise: smoothing, slope, low-pass filter."""

from nalr.loss.reading import LossReading
from nalr.loss.smoother import LossSmoother

__all__ = ["LossReading", "LossSmoother"]
