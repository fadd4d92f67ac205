"""Policies: numbers in, decision out. The default, and published rules to compare it with.

The published rules are loaded when first asked for: a run with the default needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.constant import Constant
from nalr.policies.noise_adaptive.policy import NoiseAdaptive
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings

if TYPE_CHECKING:
    from nalr.policies.published.adascale import AdaScale as AdaScale
    from nalr.policies.published.momo import MoMo as MoMo
    from nalr.policies.published.noise_scaled import NoiseScaled as NoiseScaled
    from nalr.policies.published.plateau import Plateau as Plateau
    from nalr.policies.published.polyak import PolyakStep as PolyakStep
    from nalr.policies.published.sasa import SASA as SASA
    from nalr.policies.published.schedules import Schedule as Schedule
    from nalr.policies.published.schedules import WarmupCosine as WarmupCosine
    from nalr.policies.published.schedules import WarmupLinear as WarmupLinear
    from nalr.policies.published.vsgd import VSGD as VSGD

_PUBLISHED = {
    "AdaScale": "nalr.policies.published.adascale",
    "MoMo": "nalr.policies.published.momo",
    "NoiseScaled": "nalr.policies.published.noise_scaled",
    "Plateau": "nalr.policies.published.plateau",
    "PolyakStep": "nalr.policies.published.polyak",
    "SASA": "nalr.policies.published.sasa",
    "Schedule": "nalr.policies.published.schedules",
    "VSGD": "nalr.policies.published.vsgd",
    "WarmupCosine": "nalr.policies.published.schedules",
    "WarmupLinear": "nalr.policies.published.schedules",
}

__all__ = [
    "SASA",
    "VSGD",
    "AdaScale",
    "Constant",
    "Decision",
    "Evidence",
    "MoMo",
    "NoiseAdaptive",
    "NoiseAdaptiveSettings",
    "NoiseScaled",
    "Plateau",
    "Policy",
    "PolyakStep",
    "Reason",
    "Schedule",
    "WarmupCosine",
    "WarmupLinear",
]


def __getattr__(name: str) -> Any:
    """Load a published rule from its home."""
    if name in _PUBLISHED:
        return getattr(import_module(_PUBLISHED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
