"""All that the policy measures, updated once a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nalr.policies.base import Evidence
from nalr.policies.noise_adaptive.agreement import Agreement
from nalr.policies.noise_adaptive.curvature import StepCurvature
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from nalr.policies.noise_adaptive.gradient import GradientLevel
from nalr.policies.noise_adaptive.loss_level import LossLevel
from nalr.policies.noise_adaptive.overlap import StepOverlap
from nalr.policies.noise_adaptive.progress import Progress
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings
from nalr.policies.noise_adaptive.view import Course, Level, Plan, Stretch, View


class Measurements:
    """The measured quantities of a run, each a record of plain numbers."""

    def __init__(self, settings: NoiseAdaptiveSettings, plan: Plan) -> None:
        self._settings = settings
        self._pace = plan.pace
        self._shrink = settings.open_shrink if plan.total_steps is None else settings.planned_shrink
        self.curvature = StepCurvature()
        self.overlap = StepOverlap()
        self.level = LossLevel()
        self.gradient = GradientLevel()
        self.displacement = DisplacementSignal()
        self.progress = Progress()
        self.agreement = Agreement()

    def update(self, evidence: Evidence, course: Course, lr: float) -> View:
        """Take in a step and return what it shows; `lr` is the rate of this step before any rule moves it."""
        c, moments, level, displacement = self._settings, evidence.moments, self.level, self.displacement
        self.curvature.update(moments, evidence.lr, lr, evidence.loss)
        self.overlap.update(moments, evidence.lr)
        level.update(evidence.loss, self.curvature.loss_change, c.runaway_share, c.runaway_noise)
        self.gradient.update(moments, evidence.lr, course.in_kick, c.blow_up)
        noise = None if math.isnan(evidence.noise_variance) else max(evidence.noise_variance, 0.0)
        floor = None if noise is None else self._floor(lr, noise, course.seen)
        plain = self.curvature.plain or self.overlap.steps == 0.0
        displacement.update(
            c,
            moments.displacement_product,
            course.seen,
            rose=level.value - level.best > c.change_rise * level.standard_error,
            floor=floor or 0.0,
            growth=c.floor_growth if plain else c.floor_growth_other,
            shrink=self._shrink,
        )
        if level.above == c.other_loss and self.curvature.reach is not None:
            self.agreement.begin()  # by another loss: where κ is known, nothing else becomes of it
        self.agreement.update(c, level, displacement.window)
        if course.in_kick:
            self.progress.still = 0
        elif course.seen > 0:
            promise = course.rate * moments.mean_squared_norm * c.promise_steps / self._pace
            self.progress.update(c, evidence.step, promise, level, course.cooling)
        return View(
            evidence.step,
            evidence.loss,
            moments.mean_squared_norm,
            moments.parameters_squared_norm or math.nan,
            noise,
            floor,
            plain,
            math.isnan(moments.displacement_product),
            self.curvature,
            self.overlap,
            level,
            self.gradient,
            displacement,
            self.progress,
            self.agreement,
        )

    def _floor(self, lr: float, noise: float, seen: int) -> float:
        """Return the noise floor η tr Σ/4B, with η what the optimizer makes of the rate."""
        made = 1.0
        if not self.curvature.plain and seen > 2:
            made = self._settings.memory * self.overlap.scale
        return min(0.25 * lr * made * min(noise, 1e300), 1e300)

    def begin_stretch(self, seen: int, stretch: Stretch, forgive: bool) -> None:
        """Forget what is of parameters, or of a loss, left behind."""
        self.displacement.begin_stretch(seen)
        self.progress.begin_stretch()
        level = self.level
        if stretch.level is not Level.KEPT:
            if stretch.level is Level.NEW:
                level.begin(forgive)
            else:
                level.move()
            self.agreement.begin()
            if stretch.level is not Level.MOVED:
                self.gradient.begin()
                self.overlap.begin()
        elif stretch.rise is not None:
            level.rebase(stretch.rise)

    # -- keeping ------------------------------------------------------------------------------------

    _RECORDS = {
        "curvature": StepCurvature,
        "overlap": StepOverlap,
        "level": LossLevel,
        "gradient": GradientLevel,
        "displacement": DisplacementSignal,
        "progress": Progress,
        "agreement": Agreement,
    }

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and dicts."""
        return {name: asdict(getattr(self, name)) for name in self._RECORDS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        for name, record in self._RECORDS.items():
            setattr(self, name, record(**state[name]))
