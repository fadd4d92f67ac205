"""Pictures of landscapes and of training runs, drawn without pyplot: no display, no global state."""

from nalr.plotting.curves import plot_training_curves
from nalr.plotting.race import plot_base_rates, plot_rates
from nalr.plotting.roofline import plot_roofline
from nalr.plotting.surfaces import visualize_landscape

__all__ = ["plot_base_rates", "plot_rates", "plot_roofline", "plot_training_curves", "visualize_landscape"]
