"""Policies: scalars in, decision out. The default, and rules to compare it with."""

from nalr.policies.adascale import AdaScale
from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.constant import Constant
from nalr.policies.momo import MoMo
from nalr.policies.noise_adaptive import NoiseAdaptive
from nalr.policies.noise_scaled import NoiseScaled
from nalr.policies.plateau import Plateau
from nalr.policies.polyak import PolyakStep
from nalr.policies.sasa import SASA
from nalr.policies.schedules import Schedule, WarmupCosine, WarmupLinear
from nalr.policies.settings import NoiseAdaptiveSettings
from nalr.policies.vsgd import VSGD

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
