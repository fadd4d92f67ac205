"""The default policy: search upwards, stand back from the edge, anneal, and kick when stuck.

Its peak rate moves by evidence; an anneal, if the horizon is known, multiplies it. The constants are in
`settings`, those of the kick in `kick`; formulas and sources in `signals`; the whole, with what each part is
worth, in ``docs/policy.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.noise_adaptive.anneal import Anneal
from nalr.policies.noise_adaptive.kick import Kick
from nalr.policies.noise_adaptive.settings import NoiseAdaptiveSettings
from nalr.policies.noise_adaptive.signals import (
    DisplacementSignal,
    GradientLevel,
    LossLevel,
    StepCurvature,
    StepOverlap,
    View,
    clamp,
)

ROUTINE = frozenset(
    (
        Reason.RAMP,
        Reason.GROW,
        Reason.SHRINK,
        Reason.EDGE,
        Reason.HOLD,
        Reason.COOL,
        Reason.KICK,
        Reason.ANNEAL,
    )
)
"""Reasons that a shortened step may stand in for in the record; the others are told at any rate."""


@dataclass(slots=True)
class _State:
    """All that changes, but for the measurements."""

    seen: int = 0  # usable steps decided
    cleared: bool = False  # the stretch began by harm in the step before
    began: int = 0  # of them, when the present stretch of the run began
    rate: float = 0.0  # peak rate, before the anneal
    ramping: bool = True
    pause: int = 0  # steps left without a change
    cuts: int = 0  # harm and explosions so far: each makes growth more careful
    blown: int = -100  # step of the last explosion
    deviation: float = 0.0  # the signal of the step before


class NoiseAdaptive(Policy):
    """Searches upwards from any base rate, stands back from the edge of stability, anneals, and kicks.

    ====================  ==========================================================================
    ramp                  up from the start, as long as there is room and the displacement signal agrees
    grow, shrink          by the displacement signal; gains fall as 1/t and begin anew after a change
    edge                  steps end uphill (κ > 1.2, or against the fresh gradient): down
    cut, blow-up          the loss rose and the steps did it; the gradient exploded: down, then a pause
    kick, cool            flat loss that noise does not explain: a trial of larger rates (`Kick`)
    anneal                with a horizon: down as fast as what is left to descend allows (`Anneal`)
    ====================  ==========================================================================

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
        self._base_lr, self._min_lr, self._max_lr = base_lr, min_lr, max_lr
        self._total_steps, self._cooldown = total_steps, cooldown
        reference = self.settings.reference_steps
        self._pace = max(1.0, reference / total_steps) if total_steps else 1.0
        self._state = _State(rate=base_lr)
        self._curvature = StepCurvature()
        self._overlap = StepOverlap()
        self._level = LossLevel()
        self._signal = DisplacementSignal()
        self._gradient = GradientLevel()
        self._anneal = Anneal()
        self._kick = Kick(self._pace, total_steps, reference, self.settings.kick_wait)

    @property
    def forgetting(self) -> float:
        """Share of the displacement that each step forgets: all of it after harm."""
        s, c = self._state, self.settings
        if s.cleared:
            return 1.0
        return min(c.most_forgetting, c.forgetting / (s.seen - s.began + 1.0))

    # -- one decision -------------------------------------------------------------------------------

    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate for this step."""
        s = self._state
        view = self._look(evidence)
        reason = self._start(view, evidence.loss) if s.seen == 0 else self._move(view, evidence)
        s.rate = clamp(s.rate, self._min_lr, self._max_lr)
        anneal = self._annealed(evidence.step)
        shortening = self._shortening(view)
        curvature = self._curvature.along_step
        self._curvature.remember(evidence.moments, view.reach)
        self._gradient.remember(view.squared_norm, self._kick.active)
        s.cleared = s.seen > 0 and s.began == s.seen
        s.seen += 1
        s.deviation = view.deviation
        numbers = {
            "step_reach": view.reach,
            "curvature": curvature,
            "step_overlap": self._overlap.cosine,
            "displacement_signal": view.deviation,
            "noise_floor": view.floor,
            "smoothed_loss": self._level.value,
            "peak_lr": s.rate,
            "anneal": anneal,
            "cuts": float(s.cuts),
        }
        if shortening < 1.0 and reason in ROUTINE:
            reason = Reason.CLIP
        return Decision(s.rate * anneal * shortening, reason, numbers)

    def _annealed(self, step: int) -> float:
        """Return the planned share of the peak rate; 1 without a horizon, and while a kick cools."""
        if self._total_steps is None or self._kick.cooling:
            return 1.0
        return self._anneal.at(step, self._total_steps, self.settings.anneal_forced)

    def _look(self, evidence: Evidence) -> View:
        """Update every measurement by this step."""
        moments, c, s = evidence.moments, self.settings, self._state
        lr = s.rate * self._annealed(evidence.step)
        self._curvature.update(moments, evidence.lr)
        self._overlap.update(moments, evidence.lr)
        self._level.update(evidence.loss, self._curvature.loss_change)
        self._gradient.update(moments, evidence.lr)
        floor = self._floor(lr, evidence.noise_variance)
        if self._changed():
            self._signal.restart()
            s.began = s.seen - 2 * self._signal.count  # ten steps of average reach about twice as far back
        self._advance_anneal(evidence.step, floor)
        self._signal.update(moments.displacement_product, self._window)
        deviation = self._deviation(floor)
        certain = (abs(deviation) - c.doubt) / (c.certainty - c.doubt)
        return View(
            moments.mean_squared_norm,
            self._gradient.typical(moments.mean_squared_norm),
            self._curvature.reach(lr),
            deviation,
            math.copysign(clamp(certain, 0.0, 1.0), deviation),
            floor,
        )

    @property
    def _window(self) -> float:
        """Steps over which the signal is averaged: a share of those since the last change."""
        s, c = self._state, self.settings
        return max(c.window_least, c.window_share * (s.seen - s.began))

    def _floor(self, lr: float, noise: float) -> float:
        """Return the noise floor η tr Σ/4B, η what the optimizer makes of the rate; 0 while unknown."""
        if not noise > 0.0:
            return 0.0
        made = 1.0 if self._curvature.known else self.settings.memory * self._overlap.scale
        return 0.25 * lr * (made if self._state.seen > 2 else 1.0) * noise

    def _deviation(self, floor: float) -> float:
        c = self.settings
        shrink = c.open_shrink if self._total_steps is None else c.planned_shrink
        growth = c.floor_growth if self._plain else c.floor_growth_other
        return self._signal.read(floor, growth, shrink, c.most_floors)

    @property
    def _plain(self) -> bool:
        """Whether steps are those of plain SGD, as far as can be told."""
        return self._curvature.known or self._overlap.steps == 0.0

    def _changed(self) -> bool:
        """Whether the last steps say what the many before them did not, and the loss rose as well.

        By their word alone networks near the edge of stability change all the time: that is noise.
        """
        s, c, level = self._state, self.settings, self._level
        return (
            s.seen - s.began > c.change_after
            and s.deviation < c.change_before
            and self._signal.quick > c.change
            and level.value - level.best > c.change_rise * level.standard_error
        )

    def _advance_anneal(self, step: int, floor: float) -> None:
        c = self.settings
        if (
            self._total_steps is None
            or self._kick.active
            or self._kick.cooling
            or self._state.seen <= c.early
        ):
            return
        slow = self._signal.mean + c.anneal_floors * floor
        floors = c.anneal_slow if self._plain else c.anneal_slow_other
        self._anneal.advance(self._total_steps - step, slow, floor, c.anneal_power, floors)

    def limit_first_step(self, promise: float, loss: float) -> float:
        """Return the share to keep of the first step: it may promise at most a part of the loss.

        `_start` guards plain SGD before the step. What others make of a gradient shows in the step alone: the
        first one of Adam moves every parameter by the rate, however small the gradient.
        """
        limit = self.settings.first_gain_other * abs(loss)
        if not 0.0 < limit < promise:
            return 1.0
        share = limit / promise
        self._state.rate = max(share * self._state.rate, self._min_lr)
        return share

    def _start(self, view: View, loss: float) -> Reason:
        """Answer the base rate, unless its step promises more than half of the loss."""
        promise = self.settings.first_gain * abs(loss)
        if view.squared_norm > 0.0 and 0.0 < promise < self._base_lr * view.squared_norm:
            self._state.rate = max(promise / view.squared_norm, self._min_lr)
        return Reason.START

    def _shortening(self, view: View) -> float:
        """Return the factor that brings an outlying gradient's step back to a long but usual one."""
        clip = self.settings.clip
        if view.squared_norm <= clip * clip * view.typical:
            return 1.0
        return clip * math.sqrt(view.typical / view.squared_norm)

    # -- moving the peak rate -----------------------------------------------------------------------

    def _move(self, view: View, evidence: Evidence) -> Reason:
        """Change the peak rate by the first rule that applies; return its reason."""
        s, c, step = self._state, self.settings, evidence.step
        if s.pause > 0:
            s.pause -= 1
        if self._kick.active:
            return self._follow_kick(view, evidence)
        if self._wants_kick(view, evidence):
            return self._start_kick(view, evidence)
        if self._exploded(view, evidence.loss):
            return self._blow_up(view)
        pathless = math.isnan(evidence.moments.displacement_product)
        if s.pause == 0 and self._harmed(view, pathless):
            return self._cut()
        if self._kick.cooling:  # a descent of its own, which takes the place of the anneal
            s.rate = self._kick.cool(step)
            return Reason.COOL
        if self._total_steps is not None and step >= c.plan * self._total_steps:
            return Reason.ANNEAL
        if s.pause > 0 or pathless or view.squared_norm == 0.0:
            return Reason.HOLD
        return self._ramp(view) if s.ramping else self._track(view)

    def _ramp(self, view: View) -> Reason:
        c, s = self.settings, self._state
        if view.deviation < -c.ramp_end and view.reach < 1.0:
            s.ramping = False
            return Reason.HOLD
        speed = c.ramp * self._pace**c.ramp_pace
        least = c.ramp_floor if self._plain else c.ramp_floor_other
        self._grow(speed / self._window * max(view.signal, least), view)
        if view.reach > c.room or self._overlapping(c.overlap_room):
            s.ramping = False
            return Reason.EDGE
        return Reason.RAMP

    def _track(self, view: View) -> Reason:
        c, s = self.settings, self._state
        if self._overlapping(c.overlap_edge):
            beyond = min(-self._overlap.cosine - c.overlap_edge, 0.5) / c.overlap_edge
            s.rate *= math.exp(-c.overlap_back_off * beyond)
            return Reason.EDGE
        if view.reach > c.edge:
            s.rate *= math.exp(-c.back_off * min(view.reach - c.edge, 2.0))
            return Reason.EDGE
        gain = c.speed / self._window * view.signal
        if view.signal > 0.0:
            self._grow(gain / (1.0 + s.cuts), view)
            return Reason.GROW
        s.rate *= math.exp(gain)
        return Reason.SHRINK if view.signal < 0.0 else Reason.HOLD

    def _overlapping(self, limit: float) -> bool:
        """Whether steps whose curvature is not known end uphill by more than this."""
        return not self._curvature.known and self._overlap.cosine < -limit

    def _grow(self, log_factor: float, view: View) -> None:
        """Multiply the rate, by less where curvature, noise or growing gradients leave little room."""
        self._state.rate *= math.exp(log_factor * self._room(view))

    def _room(self, view: View) -> float:
        """Return how much of a growth to allow, in [0, 1]."""
        c = self.settings
        if self._curvature.known:
            # The larger of κ's quick and slow average: the quick one alone lets the rate slip upwards
            # through its own noise; networks die of that.
            room = clamp(1.0 - max(view.reach, self._curvature.steep) / c.room, 0.0, 1.0)
        else:
            room = clamp(1.0 + self._overlap.cosine / c.overlap_room, 0.0, 1.0)
            room *= clamp(2.0 - self._overlap.relative_length / c.longest_step, 0.0, 1.0)
        if view.typical > 0.0:
            excess = self._gradient.recent / view.typical - 1.0
            room *= clamp(1.0 - excess / c.growing, 0.0, 1.0)
        if view.floor > 0.0:
            gained = self._level.gained
            room *= clamp(1.0 - view.floor / (c.floor_share * gained), 0.0, 1.0) if gained > 0.0 else 0.0
        return room

    # -- harm ---------------------------------------------------------------------------------------

    def _ran_away(self, loss: float, share: float) -> bool:
        """Whether this one loss is above the first, and far above the best by the noise and by all gained."""
        level = self._level
        rise = loss - level.best
        return loss > level.first and rise > share * level.fall + self.settings.runaway_noise * level.calm

    def _exploded(self, view: View, loss: float) -> bool:
        c, s = self.settings, self._state
        if s.seen - s.blown <= c.blow_up_wait:
            return False
        if s.seen < c.early and self._curvature.overshot:
            return True
        unknown = not self._curvature.known and s.seen > 2
        if (unknown or view.reach > c.runaway_reach) and s.seen > 2 and self._ran_away(loss, c.runaway_share):
            return True
        return (unknown or view.reach > c.blow_up_reach) and view.squared_norm > c.blow_up * view.typical

    def _blow_up(self, view: View) -> Reason:
        """Back to the line minimum, and at least by .3; early on the pause is short, as more may follow."""
        c, s = self.settings, self._state
        minimum = 1.0 / view.reach if view.reach > 0.0 else c.blow_up_cut
        s.rate *= max(min(c.blow_up_cut, minimum), c.blow_up_least)
        s.blown = s.seen
        self._after_harm(min(2, self._cooldown) if s.seen < c.early else self._cooldown // 2)
        s.ramping = s.ramping and s.seen < c.early
        self._level.rebase()
        return Reason.BLOW_UP

    def _harmed(self, view: View, pathless: bool) -> bool:
        """Whether the loss rose beyond chance, beyond what bumps cost, and by the steps' own doing.

        Without the sums of the path there is no account of what the steps did, and the loss's word is taken.
        """
        c, level = self.settings, self._level
        rise = level.value - level.best
        if self._state.seen <= 3 or not rise > c.harm_errors * level.standard_error:
            return False
        if self._kick.cooling and level.value < level.first + level.fall:
            return False
        return (
            rise > c.harm_share * level.fall
            and (view.reach > c.harm_reach or not self._curvature.known)
            and (pathless or level.attributed - level.attributed_best > c.harm_attributed * rise)
        )

    def _cut(self) -> Reason:
        s, level = self._state, self._level
        s.rate *= self.settings.cut
        self._after_harm(self._cooldown)
        s.ramping = False
        level.rebase(0.5 * (level.value - level.best))
        return Reason.CUT

    def _after_harm(self, pause: int) -> None:
        """Begin a new stretch of the run: what was measured before stands for parameters left behind."""
        s = self._state
        s.pause = pause
        s.cuts += 1
        s.began = s.seen
        self._signal.reset()
        self._kick.stop_cooling()

    def restart(self, lr: float) -> None:
        """Go on at `lr` from parameters that were put back: a new stretch, with a pause."""
        self._state.rate = clamp(lr, self._min_lr, self._max_lr)
        self._state.ramping = False
        self._after_harm(self._cooldown)

    # -- kicks --------------------------------------------------------------------------------------

    def _wants_kick(self, view: View, evidence: Evidence) -> bool:
        s, kick, step = self._state, self._kick, evidence.step
        stuck = kick.wanted(step, self._level, self._gradient, self._curvature, view, s.rate)
        return stuck or (s.ramping and kick.noise_free(step, evidence.noise_variance, self._gradient, view))

    def _start_kick(self, view: View, evidence: Evidence) -> Reason:
        """Begin a kick; or cool at once where the run is in the state that a kick is there to reach."""
        s, kick, step, noise = self._state, self._kick, evidence.step, evidence.noise_variance
        if kick.bounces(noise, self._gradient, self._level, s.rate):
            kick.begin_cooling(step, s.rate)
            return Reason.COOL
        free = s.ramping and kick.noise_free(step, noise, self._gradient, view)
        s.rate = kick.start(step, s.rate, self._level, evidence.loss, free)
        return Reason.KICK

    def _follow_kick(self, view: View, evidence: Evidence) -> Reason:
        s, c, kick = self._state, self.settings, self._kick
        if self._ran_away(evidence.loss, c.kick_runaway_share):
            s.rate, reason = kick.take_back(c.cut)
            s.blown = s.seen
        else:
            s.rate, reason = kick.follow(
                evidence.step, s.rate, view.squared_norm, self._level, self._gradient
            )
        if reason is Reason.KICK:
            return reason
        cuts = s.cuts
        self._after_harm(self._cooldown // 2)
        s.cuts, s.ramping = cuts, False
        self._level.rebase()
        if reason is Reason.KICK_KEPT:
            self._anneal.share = 1.0
            kick.begin_cooling(evidence.step, s.rate)
        return reason

    # -- keeping ------------------------------------------------------------------------------------

    _RECORDS = ("state", "curvature", "overlap", "level", "signal", "gradient", "anneal", "kick")

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and dicts."""
        records: dict[str, Any] = {}
        for name in self._RECORDS:
            record = getattr(self, f"_{name}")
            records[name] = record.state_dict() if isinstance(record, Kick) else asdict(record)
        return records

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        for name in self._RECORDS:
            record = getattr(self, f"_{name}")
            if isinstance(record, Kick):
                record.load_state_dict(state[name])
            else:
                setattr(self, f"_{name}", type(record)(**state[name]))
