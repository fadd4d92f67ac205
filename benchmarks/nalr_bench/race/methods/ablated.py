"""Our rule with single ingredients taken out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from nalr_bench.race.methods.ours import Nalr

NEVER = 1e12
"""A threshold that nothing passes."""

ABLATIONS: dict[str, tuple[tuple[str, Any], ...]] = {
    "no displacement signal": (("doubt", NEVER), ("certainty", 2.0 * NEVER)),
    "no forgetting of the start": (("forgetting", 0.0),),
    "no growing window": (("window_share", 0.0),),
    "no allowance for the noise floor": (
        ("floor_growth", 0.0),
        ("planned_shrink", 0.0),
        ("open_shrink", 0.0),
    ),
    "no bound on the signal": (("most_floors", NEVER),),
    "no limit by the noise floor": (("floor_share", NEVER),),
    "no room by curvature": (("room", NEVER), ("edge", NEVER)),
    "no wait for growing gradients": (("growing", NEVER),),
    "no harm guard": (("harm_errors", NEVER),),
    "no attribution of harm": (("harm_attributed", -NEVER),),
    "no blow-up guard": (("blow_up", NEVER), ("runaway_share", NEVER), ("early", 0)),
    "no clip": (("clip", NEVER),),
    "no notice of change": (("change", NEVER),),
    "no kicks": (("kick_wait", math.inf),),
    "anneal that does not wait": (("anneal_slow", NEVER),),
    "anneal in a straight line only": (("anneal_power", 0.0), ("anneal_forced", 1.0)),
}
"""Fields of `NoiseAdaptiveSettings` that take an ingredient out, by what is missing then."""


def ablated(optimizers: Iterable[str]) -> list[Nalr]:
    """Return the full rule and every rule with something missing, told the length of the run."""
    rules = [("", ()), *ABLATIONS.items()]
    return [
        Nalr(optimizer, horizon=True, settings=settings, label=label)
        for optimizer in optimizers
        for label, settings in rules
    ]
