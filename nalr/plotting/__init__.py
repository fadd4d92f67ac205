"""Plots of landscapes and of training runs, without pyplot: no display, no global state."""

from nalr.plotting.curves import plot_training_curves
from nalr.plotting.surfaces import visualize_landscape

__all__ = ["plot_training_curves", "visualize_landscape"]
