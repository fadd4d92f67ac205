"""The constants of the default policy: those of its measurements and rules in one record."""

from __future__ import annotations

from dataclasses import dataclass

from nalr.policies.noise_adaptive.agreement import AgreementSettings
from nalr.policies.noise_adaptive.anneal import AnnealSettings
from nalr.policies.noise_adaptive.blow_up import BlowUpSettings
from nalr.policies.noise_adaptive.cooling import CoolingSettings
from nalr.policies.noise_adaptive.displacement import DisplacementSettings
from nalr.policies.noise_adaptive.growth import GrowthSettings
from nalr.policies.noise_adaptive.harm import HarmSettings
from nalr.policies.noise_adaptive.kick import KickSettings
from nalr.policies.noise_adaptive.progress import ProgressSettings
from nalr.policies.noise_adaptive.start import StartSettings
from nalr.policies.noise_adaptive.sunk import SunkSettings


@dataclass(frozen=True, kw_only=True)
class NoiseAdaptiveSettings(
    CoolingSettings,
    KickSettings,
    ProgressSettings,
    AnnealSettings,
    HarmSettings,
    BlowUpSettings,
    GrowthSettings,
    DisplacementSettings,
    AgreementSettings,
    SunkSettings,
    StartSettings,
):
    """The constants of the policy: one set for all problems, optimizers and lengths of run.

    They were chosen on the tuning problems of ``nalr race`` alone; change one to learn what it buys (the
    ablations of ``nalr race --ablate`` do), not to tune a run. Each stands, with its reason, beside the rule
    that uses it.
    """

    reference_steps: float = 2000.0
    """The horizon assumed, for the time of kicks and of the ramp, where none is known."""
