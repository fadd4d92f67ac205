"""Synthetic loss surfaces with gradient noise whose truth is known exactly."""

from nalr.landscapes.landscape import Landscape, create_noisy_landscape

__all__ = ["Landscape", "create_noisy_landscape"]
