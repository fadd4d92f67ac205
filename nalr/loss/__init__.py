"""Smoothing of a noisy loss: average, slope, spike filter, low-pass."""

from nalr.loss.reading import LossReading
from nalr.loss.smoother import LossSmoother

__all__ = ["LossReading", "LossSmoother"]
