"""Policies: scalars in, decision out. The default, and rules to compare it with."""

from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.constant import Constant
from nalr.policies.noise_adaptive.policy import NoiseAdaptive
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings
from nalr.policies.published.adascale import AdaScale
from nalr.policies.published.momo import MoMo
from nalr.policies.published.noise_scaled import NoiseScaled
from nalr.policies.published.plateau import Plateau
from nalr.policies.published.polyak import PolyakStep
from nalr.policies.published.sasa import SASA
from nalr.policies.published.schedules import Schedule, WarmupCosine, WarmupLinear
from nalr.policies.published.vsgd import VSGD

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
