"""Synthetic loss surfaces with gradient noise, both known exactly."""

from nalr.landscapes.create import create_noisy_landscape
from nalr.landscapes.landscape import Landscape

__all__ = ["Landscape", "create_noisy_landscape"]
