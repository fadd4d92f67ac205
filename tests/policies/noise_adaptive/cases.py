"""Views and plans to judge rules by."""

from __future__ import annotations

import math

from nalr.policies.noise_adaptive.agreement import Agreement
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.loss_level import LossLevel
from nalr.policies.noise_adaptive.overlap import StepOverlap
from nalr.policies.noise_adaptive.progress import Progress
from nalr.policies.noise_adaptive.view import Plan, View


def plan(total_steps=2000, pace=1.0):
    """Return the plan of a run with wide bounds."""
    return Plan(0.01, 1e-8, 1e4, total_steps, 20, pace)


def view(**known):
    """Return what a step of a plain run shows: gradients of length 1, a loss of 10, nothing else known."""
    unknown = {
        "step": 100,
        "loss": 10.0,
        "squared_norm": 1.0,
        "parameters_squared_norm": math.nan,
        "noise": None,
        "floor": None,
        "plain": True,
        "pathless": False,
        "curvature": StepCurvature(),
        "overlap": StepOverlap(),
        "level": level(),
        "gradient": GradientLevel(typical=1.0, recent=1.0, largest=1.0, persistence=0.0),
        "displacement": DisplacementSignal(window=10.0),
        "progress": Progress(),
        "agreement": Agreement(),
    }
    return View(**{**unknown, **known})


def level(value=10.0, first=12.0, best=10.0, **changed):
    """Return the level of a run that came from `first` to `best`."""
    fall = first - best
    fields = {"value": value, "first": first, "best": best, "fall": fall, "gained": fall, **changed}
    return LossLevel(**fields)
