"""Policies: scalars in, decision out. The default, and rules to compare it with."""

from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.constant import Constant
from nalr.policies.noise_adaptive import NoiseAdaptive
from nalr.policies.settings import NoiseAdaptiveSettings

__all__ = [
    "Constant",
    "Decision",
    "Evidence",
    "NoiseAdaptive",
    "NoiseAdaptiveSettings",
    "Policy",
    "Reason",
]
