"""The description's import path for landscapes, gradient statistics and plots; re-exports only."""

from typing import TYPE_CHECKING, Any

from nalr.landscapes import create_noisy_landscape
from nalr.noise.one_batch import compute_gradient_variance

if TYPE_CHECKING:
    from nalr.plotting import plot_training_curves, visualize_landscape

__all__ = [
    "compute_gradient_variance",
    "create_noisy_landscape",
    "plot_training_curves",
    "visualize_landscape",
]


def __getattr__(name: str) -> Any:
    """Load the plots, and Matplotlib with them, when first asked for."""
    if name in ("plot_training_curves", "visualize_landscape"):
        from nalr import plotting

        return getattr(plotting, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
