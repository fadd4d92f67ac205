"""The default policy: search upwards, stand back from the edge, anneal, and kick when stuck.

Its peak rate moves by evidence; a planned anneal, if the horizon is known, multiplies it. Every constant
is in `NoiseAdaptiveSettings`, one set for all problems, those of the kick in `nalr.policies.kick`. Formulas
and sources: `nalr.policies.signals`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nalr.policies.base import Decision, Evidence, Policy, Reason
from nalr.policies.kick import Kick
from nalr.policies.signals import DisplacementSignal, GradientLevel, LossLevel, StepCurvature, View, clamp
from nalr.trend import Trend, TrendState


@dataclass(frozen=True, slots=True)
class NoiseAdaptiveSettings:
    """The constants of the policy. Steps are those of a run of 2000; shorter runs move faster in proportion.

    They were chosen on one group of problems and are the same for every user; change one to learn what
    it buys, not to tune a run.
    """

    first_gain: float = 0.5
    """The first step may promise at most this share of the loss, η|ḡ|² ≤ .5·|L|: more is past any minimum
    of a loss that ends near zero. A constant added to the loss loosens this guard, and nothing else."""
    ramp: float = 0.2
    """Log-growth a step of the first search; times the signal, but at least `ramp_floor` of it."""
    ramp_floor: float = 0.5
    """In a bump the signal says nothing, and in the first steps it is noise: go on at half speed."""
    grow: float = 0.25
    """Log-growth a step at full signal, over 1 + the number of turns so far (Kesten 1958)."""
    shrink: float = 0.1
    """The same downwards: slower, since the floor and the edge cut as well."""
    least_gain: float = 0.005
    """Below this the gains do not fall, so that a long run can still follow a change."""
    turn: float = 0.1
    """The signal must pass this far beyond zero to count as a turn."""
    room: float = 0.8
    """κ up to which the rate may grow; growth fades linearly towards it."""
    edge: float = 1.2
    """κ beyond which the rate backs off."""
    back_off: float = 0.1
    """Log-cut a step for each unit of κ beyond `edge`, counted up to 2."""
    turnable: float = 1.0
    """κ below which a negative signal ends the first search: above, the edge does."""
    harm_errors: float = 3.0
    """A rise of the smoothed loss is harm when it exceeds this many standard errors, and …"""
    harm_share: float = 0.4
    """… this share of all that the run has gained (passing bumps costs a little), and …"""
    harm_attributed: float = 0.3
    """… the gradients' own account shows at least this share of it, so that the steps did it, and …"""
    harm_reach: float = 0.25
    """… κ is above this: at smaller steps a rate cannot be at fault."""
    cut: float = 0.5
    """Rate factor on harm."""
    blow_up: float = 100.0
    """|ḡ|² at this many times its average is an explosion, if κ is above …"""
    blow_up_reach: float = 2.0
    """… the edge of stability."""
    blow_up_cut: float = 0.3
    """Rate factor on an explosion, or 1/κ where that is less, but …"""
    blow_up_least: float = 0.001
    """… no less than this: κ is measured badly there."""
    early: int = 10
    """Steps from the start in which one step that ends further up the other side is an explosion too."""
    bouncing: float = 20.0
    """|ḡ|² above this many times tr Σ/B is no noise; about a minimum it averages less than twice."""
    clip: float = 4.0
    """A gradient longer than this many root-mean-squares is shortened to it, for its own step."""
    floor_cut: float = 0.6
    """Rate factor where noise explains the level; about 1/t decay with the window's growth."""
    floor_window: float = 50.0
    """Steps looked at before the first such cut, and by how much longer before each next one:"""
    floor_window_growth: float = math.sqrt(2.0)
    floor_errors: float = 1.65
    """The slope counts as falling if it is below zero by this many of its standard errors."""
    forgetting: float = 0.002
    """Share of the displacement that a step forgets: the rate is judged by the last 500 steps or so."""
    hold: float = 0.4
    """Share of a known horizon before the planned anneal begins."""
    plan: float = 0.85
    """Share of a known horizon during which the peak rate still moves; then the anneal alone acts."""
    reference_steps: float = 2000.0
    """The horizon in whose steps these constants are; the one assumed where none is known."""
    fastest: float = math.log(2.0)
    """No step changes the peak rate by more than this factor upwards, however short the run."""


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
    rate: float = 0.0  # peak rate, before the anneal
    turns: int = 0
    sign: int = 1
    ramping: bool = True
    pause: int = 0  # steps left without a change
    window: float = 0.0


class NoiseAdaptive(Policy):
    """Searches upwards from any base rate, stands back from the edge of stability, anneals, and kicks.

    ====================  ==========================================================================
    ramp                  up from the start, as long as κ leaves room and the displacement signal agrees
    grow, shrink          by the displacement signal, with gains that fall at every turn
    edge                  κ > 1.2: down
    cut, blow-up          the loss rose and the steps did it; the gradient exploded: down, then a pause
    floor                 flat loss, and the noise floor explains it: down by .6, then look longer
    kick, cool            flat loss that noise does not explain: a trial of larger rates (`Kick`)
    anneal                with a horizon: .4 of it at the peak rate, then a cosine to zero
    ====================  ==========================================================================

    Parameters
    ----------
    settings : NoiseAdaptiveSettings, optional
        The constants.

    Notes
    -----
    Cost: some microseconds a step, no arrays. Blind to a constant added to the loss, but for the very
    first step's guard. With an optimizer other than plain SGD the curvature along the step is unknown
    (its own noise would have to be taken out) and the displacement signal and the loss decide alone.
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
        self._state = _State(rate=base_lr, window=self.settings.floor_window / self._pace)
        self._curvature = StepCurvature()
        self._level = LossLevel()
        self._signal = DisplacementSignal()
        self._gradient = GradientLevel()
        self._begin_line()
        self._kick = Kick(self._pace, total_steps, reference)

    @property
    def forgetting(self) -> float:
        """Share of the displacement that each step forgets: at most 2 over the steps so far, and a tenth."""
        rate = self.settings.forgetting * self._pace
        return min(rate, 0.1) if self._total_steps else min(rate, 2.0 / (self._state.seen + 1.0))

    # -- one decision -------------------------------------------------------------------------------

    def decide(self, evidence: Evidence) -> Decision:
        """Return the rate for this step."""
        s = self._state
        anneal = self._anneal(evidence.step)
        view = self._look(evidence, anneal)
        reason = self._start(view, evidence.loss) if s.seen == 0 else self._move(view, evidence)
        s.rate = clamp(s.rate, self._min_lr, self._max_lr)
        lr = s.rate * anneal
        shortening = self._shortening(view)
        curvature = self._curvature.along_step
        self._curvature.remember(evidence.moments, view.reach)
        self._gradient.remember(view.squared_norm, self._kick.active)
        s.seen += 1
        numbers = {
            "step_reach": view.reach,
            "curvature": curvature,
            "displacement_signal": view.signal,
            "noise_floor": view.floor,
            "smoothed_loss": self._level.value,
            "peak_lr": s.rate,
            "anneal": anneal,
            "turns": float(s.turns),
        }
        if shortening < 1.0 and reason in ROUTINE:
            reason = Reason.CLIP
        return Decision(lr * shortening, reason, numbers)

    def _anneal(self, step: int) -> float:
        """Return the planned share of the peak rate: held, then a cosine to zero; 1 without a horizon."""
        total = self._total_steps
        if total is None:
            return 1.0
        hold = self.settings.hold
        done = min(step / total, 1.0 - 0.5 / total)  # half a step from the end: never zero
        return 0.5 * (1.0 + math.cos(math.pi * max((done - hold) / (1.0 - hold), 0.0)))

    def _look(self, evidence: Evidence, anneal: float) -> View:
        """Update every measurement by this step."""
        moments = evidence.moments
        self._curvature.update(moments, evidence.lr)
        lr = self._state.rate * anneal
        self._level.update(evidence.loss, self._curvature.loss_change)
        self._gradient.update(moments, evidence.lr)
        self._losses.append(evidence.loss)
        noise = evidence.noise_variance
        floor = 0.25 * lr * noise if noise > 0.0 else 0.0
        return View(
            moments.mean_squared_norm,
            self._gradient.typical(moments.mean_squared_norm),
            self._curvature.reach(lr),
            self._signal.update(moments.displacement_product, floor),
            floor,
        )

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
        s, kick = self._state, self._kick.state
        if s.pause > 0:
            s.pause -= 1
        planned = self._total_steps is not None and evidence.step >= self.settings.plan * self._total_steps
        if not kick.active and s.pause == 0 and self._exploded(view):
            return self._blow_up(view)
        if kick.active:
            return self._follow_kick(view)
        if self._kick.wanted(evidence.step, self._level, self._gradient, self._curvature, view, s.rate):
            return self._kick.start(s.rate, self._level, self._bouncing(evidence))
        pathless = math.isnan(evidence.moments.displacement_product)
        if s.pause == 0 and self._harmed(view, pathless):
            return self._cut()
        if s.pause == 0 and not planned and not s.ramping and not kick.cooling and self._at_floor(view):
            return self._settle()
        if kick.cooling:  # a descent of its own, which the planned anneal must not hurry
            anneal = self._anneal(evidence.step)
            s.rate = self._kick.cool(s.rate * anneal) / anneal
            return Reason.COOL
        if planned:
            return Reason.ANNEAL
        if s.pause > 0 or pathless or view.squared_norm == 0.0:
            return Reason.HOLD
        return self._ramp(view) if s.ramping else self._track(view)

    def _bouncing(self, evidence: Evidence) -> bool:
        """Whether |ḡ|² is far above what noise makes of it, here where the gradient leads nowhere."""
        return self._gradient.recent > self.settings.bouncing * max(evidence.noise_variance, 0.0)

    def _exploded(self, view: View) -> bool:
        c = self.settings
        if self._state.seen < c.early and self._curvature.overshot:
            return True
        return view.reach > c.blow_up_reach and view.squared_norm > c.blow_up * view.typical

    def _blow_up(self, view: View) -> Reason:
        """Back to the line minimum, and at least by .3; early on the pause is short, as more may follow."""
        c, s = self.settings, self._state
        minimum = 1.0 / view.reach if view.reach > 0.0 else c.blow_up_cut
        s.rate *= max(min(c.blow_up_cut, minimum), c.blow_up_least)
        if s.seen < c.early:
            s.pause = min(2, self._cooldown)
        else:
            s.pause = self._cooldown // 2
            s.ramping = False
            s.turns += 1
        self._level.rebase()
        self._kick.stop_cooling()
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
        known = self._curvature.length > 0.0
        return (
            rise > c.harm_share * level.fall
            and (view.reach > c.harm_reach or not known)
            and (pathless or level.attributed - level.attributed_best > c.harm_attributed * rise)
        )

    def _cut(self) -> Reason:
        s = self._state
        s.rate *= self.settings.cut
        s.turns += 1
        s.ramping = False
        s.pause = self._cooldown
        self._level.rebase(0.5 * (self._level.value - self._level.best))
        self._kick.stop_cooling()
        return Reason.CUT

    def _at_floor(self, view: View) -> bool:
        """Whether noise explains the level: no certain slope, and a floor above what any slope would take."""
        c, s = self.settings, self._state
        count = self._trend.state.count + len(self._losses)
        if count < s.window:
            return False
        self._fold_losses()
        slope, error, _ = self._trend.reading()
        if slope > -c.floor_errors * error and view.floor > count * abs(slope):
            return True
        if count > 4.0 * s.window:
            self._begin_line()
        return False

    def _begin_line(self) -> None:
        self._trend = _new_trend()
        self._losses: list[float] = []  # that the line has yet to take: few steps ask for it

    def _fold_losses(self) -> None:
        self._trend.fold(self._losses)
        self._losses.clear()

    def _settle(self) -> Reason:
        s = self._state
        s.rate *= self.settings.floor_cut
        s.window *= self.settings.floor_window_growth
        self._begin_line()
        self._level.rebase()
        return Reason.FLOOR

    def _follow_kick(self, view: View) -> Reason:
        s = self._state
        rate, reason = self._kick.follow(s.rate, view.squared_norm, self._level, self._gradient)
        s.rate = rate
        if reason is Reason.KICK:
            return reason
        s.ramping = False
        s.pause = self._cooldown // 2
        self._level.rebase()
        if reason is Reason.KICK_KEPT:
            s.turns, s.sign = 0, 1
            self._signal.reset()
        return reason

    def _room(self, view: View) -> float:
        """Return how much of a growth κ allows, in [0, 1]: the larger of its quick and its slow average.

        The quick one alone lets the rate slip upwards through its own noise; networks die of that.
        """
        reach = max(view.reach, self._curvature.steep)
        return clamp(1.0 - reach / self.settings.room, 0.0, 1.0)

    def _scale(self, log_factor: float) -> None:
        """Multiply the rate, at this run's pace."""
        self._state.rate *= math.exp(min(self._pace * log_factor, self.settings.fastest))

    def _ramp(self, view: View) -> Reason:
        c, s = self.settings, self._state
        if view.signal < -c.turn and view.reach < c.turnable:
            s.ramping, s.turns, s.sign = False, 1, -1
            return Reason.HOLD
        self._scale(c.ramp * max(view.signal, c.ramp_floor) * self._room(view))
        if view.reach > c.room:
            s.ramping = False
            return Reason.EDGE
        return Reason.RAMP

    def _track(self, view: View) -> Reason:
        c, s = self.settings, self._state
        if view.signal * s.sign < -c.turn:
            s.turns += 1
            s.sign = -s.sign
        gain = max(1.0 / (1.0 + s.turns), c.least_gain)
        if view.reach > c.edge:
            s.rate *= math.exp(-c.back_off * min(view.reach - c.edge, 2.0))
            return Reason.EDGE
        if view.signal > 0.0:
            self._scale(c.grow * view.signal * gain * self._room(view))
            return Reason.GROW
        self._scale(c.shrink * view.signal * gain)
        return Reason.SHRINK if view.signal < 0.0 else Reason.HOLD

    # -- keeping ------------------------------------------------------------------------------------

    _RECORDS = ("state", "curvature", "level", "signal", "gradient", "kick")

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and dicts."""
        self._fold_losses()
        records: dict[str, Any] = {}
        for name in self._RECORDS:
            record = getattr(self, f"_{name}")
            records[name] = record.state_dict() if isinstance(record, Kick) else asdict(record)
        return {**records, "trend": asdict(self._trend.state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly."""
        for name in self._RECORDS:
            record = getattr(self, f"_{name}")
            if isinstance(record, Kick):
                record.load_state_dict(state[name])
            else:
                setattr(self, f"_{name}", type(record)(**state[name]))
        self._begin_line()
        self._trend.state = TrendState(**state["trend"])


def _new_trend() -> Trend:
    """Return a line that forgets nothing over any window that a run can reach."""
    return Trend(1.0 - 1e-12)
