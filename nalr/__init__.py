"""nalr: learning rates from measured gradient noise.

Public names are loaded when first used: importing the package loads neither Numba nor Matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nalr._checks import CacheWarning as CacheWarning
    from nalr._checks import NalrWarning as NalrWarning
    from nalr._checks import NoiseWarning as NoiseWarning
    from nalr.arrays.iterate_average import IterateAverage as IterateAverage
    from nalr.arrays.threads import get_num_threads as get_num_threads
    from nalr.arrays.threads import set_num_threads as set_num_threads
    from nalr.controller import NoiseAdaptiveLR as NoiseAdaptiveLR
    from nalr.curvature import DirectionalCurvature as DirectionalCurvature
    from nalr.curvature import HutchinsonEstimator as HutchinsonEstimator
    from nalr.curvature import HutchPlusPlusEstimator as HutchPlusPlusEstimator
    from nalr.curvature import finite_difference_hvp as finite_difference_hvp
    from nalr.curvature import largest_eigenvalue as largest_eigenvalue
    from nalr.landscapes import create_noisy_landscape as create_noisy_landscape
    from nalr.loss import LossReading as LossReading
    from nalr.loss import LossSmoother as LossSmoother
    from nalr.moments import Moments as Moments
    from nalr.noise import NoiseEstimator as NoiseEstimator
    from nalr.noise import NoiseReading as NoiseReading
    from nalr.reporting import report as report

__version__ = "0.1.0"

_HOMES = {
    "CacheWarning": "nalr._checks",
    "DirectionalCurvature": "nalr.curvature",
    "HutchPlusPlusEstimator": "nalr.curvature",
    "HutchinsonEstimator": "nalr.curvature",
    "IterateAverage": "nalr.arrays.iterate_average",
    "LossReading": "nalr.loss",
    "LossSmoother": "nalr.loss",
    "Moments": "nalr.moments",
    "NalrWarning": "nalr._checks",
    "NoiseAdaptiveLR": "nalr.controller",
    "NoiseEstimator": "nalr.noise",
    "NoiseReading": "nalr.noise",
    "NoiseWarning": "nalr._checks",
    "create_noisy_landscape": "nalr.landscapes",
    "finite_difference_hvp": "nalr.curvature",
    "get_num_threads": "nalr.arrays.threads",
    "largest_eigenvalue": "nalr.curvature",
    "report": "nalr.reporting",
    "set_num_threads": "nalr.arrays.threads",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
