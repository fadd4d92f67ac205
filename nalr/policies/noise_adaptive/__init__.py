"""The default policy: one measured quantity per file, one rule per file."""

from nalr.policies.noise_adaptive.policy import NoiseAdaptive
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings

__all__ = ["NoiseAdaptive", "NoiseAdaptiveSettings"]
