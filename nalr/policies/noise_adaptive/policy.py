"""The default policy: measure once a step, then let the first rule that applies move the peak rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Protocol

from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.noise_adaptive.anneal import Anneal, change_of_plan
from nalr.policies.noise_adaptive.blow_up import BlowUp
from nalr.policies.noise_adaptive.cooling import Cooling, Descent
from nalr.policies.noise_adaptive.growth import Growth
from nalr.policies.noise_adaptive.harm import Harm
from nalr.policies.noise_adaptive.kick import Kick
from nalr.policies.noise_adaptive.measurements import Measurements
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings
from nalr.policies.noise_adaptive.start import Start
from nalr.policies.noise_adaptive.sunk import Sunk
from nalr.policies.noise_adaptive.view import Course, Level, Move, Plan, Stretch, View


class Rule(Protocol):
    """Looks at the measurements, and answers with a move or leaves the step to the rules behind it."""

    def judge(self, view: View, course: Course) -> Move | None:
        """Return a move, or None where the rule does not apply."""


class NoiseAdaptive(Policy):
    """Searches upwards from any base rate, stands back from the edge of stability, anneals, and kicks.

    ============  ==================================================================================
    `Start`       the first step: the base rate, unless it promises too much of the loss
    `Kick`        flat loss that noise does not explain: a trial of larger rates
    `BlowUp`      the loss ran away or the gradient exploded, by the steps: a deep cut, then a pause
    `Harm`        the smoothed loss rose, by the steps: half the rate, then a pause
    `Cooling`     a linear descent after a kick
    `Anneal`      late in a run with a horizon: the peak rate holds, the anneal alone acts
    `Sunk`        a rate that has sunk by powers of ten while the signal points up: a new search
    `Growth`      else: search upwards, grow, shrink or back off from the edge of stability
    ============  ==================================================================================

    The first rule that answers moves the peak rate; the anneal, if the horizon is known, multiplies it; an
    outlying gradient shortens its own step. See ``docs/policy.md`` for formulas, sources, and what each part
    is worth.

    Parameters
    ----------
    settings : NoiseAdaptiveSettings, optional
        The constants.

    Notes
    -----
    Cost: some microseconds a step, no arrays. Blind to a constant added to the loss, but for the very
    first step's guard. With an optimizer other than plain SGD the curvature along the step is unknown (its
    own noise would have to be taken out); the overlap of its steps with fresh gradients stands for it, and
    there are no kicks.
    """

    def __init__(self, settings: NoiseAdaptiveSettings | None = None) -> None:
        self.settings = settings or NoiseAdaptiveSettings()
        self.begin(1.0, 0.0, math.inf, None, 20)

    def __repr__(self) -> str:
        changed = [
            f"{f.name}={getattr(self.settings, f.name)!r}"
            for f in fields(NoiseAdaptiveSettings)
            if getattr(self.settings, f.name) != f.default
        ]
        return f"NoiseAdaptive(NoiseAdaptiveSettings({', '.join(changed)}))" if changed else "NoiseAdaptive()"

    def begin(
        self, base_lr: float, min_lr: float, max_lr: float, total_steps: int | None, cooldown: int
    ) -> None:
        """Forget everything and take the run's settings."""
        c, reference = self.settings, self.settings.reference_steps
        pace = max(1.0, reference / total_steps) if total_steps else 1.0
        plan = self._plan = Plan(base_lr, min_lr, max_lr, total_steps, cooldown, pace)
        self._course = Course(rate=base_lr)
        self._measurements = Measurements(c, plan)
        self._start = Start(c, plan)
        self._kick = Kick(c, plan, total_steps or reference, c.cut, c.runaway_noise)
        self._cooling = Cooling(c, total_steps)
        self._anneal = Anneal(c, total_steps) if total_steps else None
        rules: list[Rule | None] = [
            self._kick if math.isfinite(c.kick_wait) else None,
            BlowUp(c, plan),
            Harm(c, plan),
            self._cooling,
            self._anneal,
        ]
        self._rules: list[Rule] = [rule for rule in rules if rule is not None]
        self._sunk = Sunk(c, c.certainty)
        self._growth = Growth(c, plan)

    @property
    def forgetting(self) -> float:
        """Share of the displacement that the next step forgets: all of it after a new stretch began."""
        c, seen = self.settings, self._course.seen
        since = seen - self._measurements.displacement.began
        return 1.0 if since == 1 < seen else min(c.most_forgetting, c.forgetting / (since + 1.0))

    # -- one decision -------------------------------------------------------------------------------

    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate for this step."""
        course = self._course
        view = self._measurements.update(evidence, course, course.rate * self._annealed(evidence.step))
        waits = course.seen <= self.settings.early or course.in_kick or course.cooling
        if self._anneal is not None and view.agreement.follows and not waits:
            self._anneal.advance(view)
        move = self._start.judge(view, course) if course.seen == 0 else self._first_move(view)
        if move.rate != course.rate:
            self._sunk.follow(move, view, course.rate)
        self._apply(move, view.step)
        anneal, shortening = self._annealed(evidence.step), self._shortening(view)
        course.seen += 1
        numbers = {
            "step_reach": _known(view.curvature.reach),
            "curvature": _known(view.curvature.along_step),
            "step_overlap": _known(view.overlap.cosine),
            "displacement_signal": _known(view.displacement.deviation),
            "noise_floor": _known(view.floor),
            "smoothed_loss": view.level.value,
            "peak_lr": course.rate,
            "anneal": anneal,
            "cuts": float(course.cuts),
            "agreement": float(view.agreement.follows and view.agreement.in_all),
        }
        if self._sunk.state.sunk:
            self._sunk.tell(course.rate, view.step)
        # A shortened step stands in the record, but for moves that begin a new stretch: those always do.
        clipped = shortening < 1.0 and move.stretch is None
        return Decision(course.rate * anneal * shortening, Reason.CLIP if clipped else move.reason, numbers)

    def _first_move(self, view: View) -> Move:
        course = self._course
        course.pause = max(course.pause - 1, 0)
        fade = 1.0 - 1.0 / (course.seen + 1.0)  # what is past is an ever smaller part of the run
        course.cuts, course.levels = fade * course.cuts, fade * course.levels
        for rule in self._rules:
            move = rule.judge(view, course)
            if move is not None:
                return move
        again = self._sunk.judge(view, course) if self._sunk.state.sunk else None
        return again or self._growth.judge(view, course)

    def _apply(self, move: Move, step: int) -> None:
        """Change the course of the run by a move."""
        course = self._course
        if move.stretch is not None:
            self._begin_stretch(move.stretch)
        if move.reason is Reason.KICK_KEPT and self._anneal is not None:
            self._anneal.restart()
        if move.cooling:
            self._cooling.begin(step, move.rate)
        if move.cooling is not None:
            course.cooling = move.cooling
        course.in_kick = move.reason is Reason.KICK
        course.searching = move.begins_search or (course.searching and not move.ends_search)
        course.rate = min(max(move.rate, self._plan.min_lr), self._plan.max_lr)

    def _begin_stretch(self, stretch: Stretch) -> None:
        course = self._course
        course.pause = stretch.pause
        course.cuts += stretch.harm
        course.levels += stretch.level in (Level.GRADIENTS, Level.NEW)
        course.cooling = False
        if stretch.explosion:
            course.blown = course.seen
        forgive = course.levels < self.settings.other_losses
        self._measurements.begin_stretch(course.seen, stretch, forgive)

    def _annealed(self, step: int) -> float:
        """Return the planned share of the peak rate; 1 without a horizon, and while a kick cools."""
        return 1.0 if self._anneal is None or self._course.cooling else self._anneal.at(step)

    def _shortening(self, view: View) -> float:
        """Return the factor that brings an outlying gradient's step back to a long but usual one."""
        clip, typical = self.settings.clip, view.gradient.typical
        if typical is None or view.squared_norm <= clip * clip * typical:
            return 1.0
        return clip * math.sqrt(typical / view.squared_norm)

    # -- from outside -------------------------------------------------------------------------------

    def first_share(self, promise: float, loss: float, length: float = math.nan) -> float:
        """Return the share to keep of a first step: it may promise at most a part of the loss."""
        return self._start.share(promise, loss, length)

    def limit_first_step(self, promise: float, loss: float, length: float = math.nan) -> float:
        """Return `first_share`, and go on at this share of the rate."""
        share = self.first_share(promise, loss, length)
        if share < 1.0:
            self._course.rate = max(share * self._course.rate, self._plan.min_lr)
        return share

    def restart(self, lr: float) -> None:
        """Go on at `lr` from parameters that were put back: a new stretch, with a pause."""
        self._course.rate = min(max(lr, self._plan.min_lr), self._plan.max_lr)
        self._course.searching = False
        self._begin_stretch(Stretch(self._plan.cooldown, rise=None))

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and dicts."""
        return {
            "course": asdict(self._course),
            "measurements": self._measurements.state_dict(),
            "kick": self._kick.state_dict(),
            "sunk": self._sunk.state_dict(),
            "cooling": asdict(self._cooling.descent),
            "anneal": None if self._anneal is None else self._anneal.share,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        self._course = Course(**state["course"])
        self._measurements.load_state_dict(state["measurements"])
        self._kick.load_state_dict(state["kick"])
        self._sunk.load_state_dict(state["sunk"])
        self._cooling.descent = Descent(**state["cooling"])
        if self._anneal is not None:
            self._anneal.share = state["anneal"]

    def load_other_plan(self, state: Mapping[str, Any], step: int, total_steps: int | None) -> None:
        """Take the state, and go on as if the steps of `begin` had been planned from the start."""
        self.load_state_dict({**state, "anneal": 1.0})
        share = state["anneal"]
        if total_steps is not None:
            share **= change_of_plan(step, total_steps, self._plan.total_steps)
            if self._anneal is not None:
                self._anneal.share = share
            else:
                self._course.rate = max(share * self._course.rate, self._plan.min_lr)
        if self._course.cooling:
            descent = self._cooling.descent
            self._cooling.begin(descent.start, descent.first_rate)


def _known(value: float | None) -> float:
    return math.nan if value is None else value
