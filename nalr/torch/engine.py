"""What scheduler and wrapper share: a measurement before each step, and a factor on its rates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from nalr import controller
from nalr.moments.record import Moments
from nalr.noise.reading import NoiseReading
from nalr.reporting.history import History
from nalr.torch.checks import (
    has_overflow,
    parameters_of,
    parameters_with_gradients,
    senses_of,
    unwatched,
    warn_unseen,
)
from nalr.torch.losses import Loss, Losses, checked
from nalr.torch.portable import portable, restored
from nalr.torch.rates import Rates
from nalr.torch.step import StepHooks
from nalr.torch.sums.measurement import Measurement
from nalr.torch.undo.first_step import FirstStep, accumulation
from nalr.torch.undo.rollback import Rollback

UNITS = {"samples": "sample", "microbatches": "microbatch", "ranks": "microbatch", "steps": "batch"}
"""What a row is, by where rows come from."""


class Engine:
    """Measures before a step, sets its rates, and puts the user's own back after it.

    A step is decided from its own gradients and the loss given with it, or the latest before it where the
    loss comes after the step.

    Parameters
    ----------
    optimizer : Optimizer
        Whose steps are watched.
    adaptive : controller.NoiseAdaptiveLR
        Decides the rate.
    measurement : Measurement
        Makes sums of gradients.
    rates : Rates
        The optimizer's rates.
    every : int
        Steps from one measurement to the next.
    rollback : Rollback or None
        Keeps a copy to return to after a blow-up.
    sized : bool
        Whether it is known how many samples a row is the mean of.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        adaptive: controller.NoiseAdaptiveLR,
        measurement: Measurement,
        rates: Rates,
        every: int,
        rollback: Rollback | None,
        sized: bool = False,
    ) -> None:
        self.optimizer, self.adaptive, self.measurement, self.rates = optimizer, adaptive, measurement, rates
        self.every, self.rollback = every, rollback
        self.steps = 0  # that had a gradient
        self.losses = Losses()
        self.sized = sized
        self._turned = False  # whether a group maximizes, or did in the step before
        self._first: FirstStep | None = None  # from the first step until its loss has come
        self._awaited: dict[str, Any] | None = None  # a measurement's state, until its parameters are there
        self._unseen = 1  # losses given without a step, until that is told; 0 when it was
        self._watch()

    def _watch(self) -> None:
        self._hooks = StepHooks(
            self.optimizer, self, Engine._before_closure, Engine._before_step, self.rates.restore
        )

    @property
    def factor(self) -> float:
        """What the user's rates are multiplied by."""
        return self.rates.held(self.adaptive.lr) / self.adaptive.base_lr

    # -- around a step ------------------------------------------------------------------------------

    def _before_closure(self) -> None:
        """Set the present rate: an optimizer may read it before it calls the closure."""
        self.rates.begin()
        self.rates.multiply(self.adaptive.lr)

    def _before_step(self, loss: Any) -> bool:
        """Decide the rate of the step about to be made; return whether the step takes part."""
        self.rates.begin()
        if self.rates.idle or self._left_out():
            self.measurement.clear()
            return False
        self.adaptive.history.late = False
        if loss is None:
            loss, self.losses.latest = self.losses.latest, None
            self.adaptive.history.late = loss is not None and self.losses.late
        else:
            loss = checked(loss)  # what a closure returned
        found = self._measure(loss)
        self.rates.multiply(self.adaptive.lr if found is None else self._decide(*found))
        if self._first is not None or (self.rollback is not None and self.rollback.due):
            self._hooks.finish = Engine._finish_step
        return True

    def _finish_step(self) -> None:
        """Shorten the first step, or return to the copy, now that the step has been made."""
        first = self._first
        if first is not None:
            factor = self.measurement.last_factor
            first.measure(factor, accumulation(self.optimizer), self.measurement.path.signs)
            if first.waiting:  # until its loss has come, nothing is longer than its parameters allow
                first.shorten(self.adaptive.policy.first_share(0.0, 0.0, first.length))
            else:
                self._shorten(first, 1.0)
        if self.rollback is not None and self.rollback.due:
            self.rollback.restore()
            self.measurement.restart()
            self.adaptive.restart(self.rollback.lr)

    def _left_out(self) -> bool:
        """Whether the optimizer itself leaves this step out: a fused one under a GradScaler."""
        return float(getattr(self.optimizer, "found_inf", None) or 0.0) > 0.0

    # -- deciding -----------------------------------------------------------------------------------

    def _measure(self, loss: Loss | None) -> tuple[Moments, float] | None:
        """Return the sums of the gradients that are there, and the loss; None where nothing is decided."""
        if self._first is not None and self._first.waiting:  # no loss came after the first step
            self._settle_first(self._first, None)
        parameters, has_gradient = parameters_with_gradients(self.optimizer)
        if self._awaited is not None or not self.measurement.path.is_of(parameters):
            self._follow()
        history = self.adaptive.history
        history.predicted, history.shift = False, 0.0
        if self._turned or any([group.get("maximize") for group in self.optimizer.param_groups]):
            loss = self._turned_loss(loss)
        if not has_gradient:
            self.measurement.clear()
            return None
        self.steps += 1
        if self.every > 1:
            self.measurement.wake(self.steps % self.every == 0)
            if (self.steps - 1) % self.every:
                self.measurement.clear()
                return None
        moments, number = self.measurement.take(
            self.optimizer, self.adaptive.policy.forgetting, None if loss is None else float(loss)
        )
        history.unit = "sample" if self.sized else UNITS[self.measurement.source]
        if self.steps == 1:
            self._first = FirstStep(parameters, moments, number, self.rates.schedule * self.rates.share)
            moments = self._first.moments
            if number is None:
                return None
        if number is None or not self.losses.plain:
            number, history.predicted = self.losses.of_step(number, moments.step_product)
            history.shift += self.losses.offset
        return None if number is None else (moments, number)

    def _follow(self) -> None:
        """Begin anew with the optimizer's present parameters, or with memory that they were given."""
        awaited, self._awaited = self._awaited, None
        self.measurement.follow(parameters_of(self.optimizer))
        if awaited is not None and self.measurement.path.check(awaited["path"]):
            self.measurement.load_state_dict(awaited)
            return
        self.adaptive.estimator.reset()  # its averages are of other parameters
        if self.rollback is not None:
            self.rollback.renew()

    def _turned_loss(self, loss: Loss | None) -> Loss | None:
        """See which groups maximize, and return the loss by which their next step is judged."""
        history = self.adaptive.history
        if not history.late:
            self._turn()
        found = None if loss is None else self.losses.turned(loss)
        history.turned = self.losses.sign < 0.0
        history.shift = 0.0 if found is None else self.losses.shift
        if history.late:  # it is of the step before, made with the flags of then
            self._turn()
            history.late = found is not None
        return found

    def _turn(self) -> None:
        """Take the present flags; the path begins anew where one is another than before."""
        signs, sense = senses_of(self.optimizer)
        turned = self.measurement.path.turn(signs)
        if sense != self.losses.sign:
            self.losses.turn(sense)
        if turned and self.measurement.known:
            self.measurement.restart()
        self._turned = min(signs, default=1.0) < 0.0 or self.losses.shift != 0.0

    def _decide(self, moments: Moments, loss: float, made: bool = False) -> float:
        """Return the rate of a step with these sums and this loss; `made`: of one that is made already."""
        self.losses.level = loss
        lr = self.adaptive.update_policy(moments, loss)
        schedule, share = self.rates.schedule, self.rates.share
        applied = lr if schedule == 1.0 == share else self.rates.held(lr) * schedule
        if applied * share != lr:
            self.adaptive.history.correct_lr(applied * share)
        if applied * self.every != lr or not moments.usable:  # the optimizer makes the step in any case
            self.adaptive.set_applied_lr(applied * self.every)
        if self.rollback is not None and not made:
            decision = self.adaptive.last_decision
            assert decision is not None
            self.rollback.follow(decision, self.steps)
        return lr

    def give(self, loss: Any) -> None:
        """Take in the loss of the step just made; it serves the decision on the next.

        The very first step is made before any loss is known. Where that loss shows that it was too long, it
        is shortened now: a step is linear in its rate.
        """
        if self._unseen and not self._hooks.seen:
            self._tell_unseen()
        if not self._hooks.within():
            self.rates.restore()  # the step may have raised
        made = self._hooks.take_made()
        if loss is not None:
            loss = checked(loss)
            self.losses.give(loss, made, late=True)
        if self._first is not None and self._first.waiting:
            self._settle_first(self._first, loss)

    def _tell_unseen(self) -> None:
        """Warn that no step was seen, unless a GradScaler left it out."""
        if has_overflow(self.optimizer):
            return
        self._unseen -= 1
        if self._unseen:
            return
        warn_unseen(self.optimizer)

    def _settle_first(self, first: FirstStep, loss: Loss | None) -> None:
        """Decide on the first step, now that its loss has come or is known not to."""
        loss = None if loss is None else self.losses.turned(loss)
        first.loss = 0.0 if loss is None else self.measurement.mean(float(loss))
        self.adaptive.history.late, self.adaptive.history.predicted = False, loss is None
        self._decide(first.moments, first.loss, made=True)
        self._shorten(first, min(self.factor, 1.0))

    def _shorten(self, first: FirstStep, factor: float) -> None:
        """Shorten the first step to `factor` of it, or further where that promises too much."""
        assert first.loss is not None
        share = self.adaptive.limit_first_step(factor * first.promise, first.loss, factor * first.length)
        first.shorten(factor * share)
        rates = self.rates
        self.adaptive.history.correct_lr(self.factor * rates.base_lr * rates.schedule * rates.share)
        self._first = None

    # -- what it knows ------------------------------------------------------------------------------

    @property
    def history(self) -> History:
        """The record, with the loss of the last step if that has come; to read it may wait for a device."""
        history, latest = self.adaptive.history, self.losses.latest
        if latest is not None and self.losses.late and history.waits:
            history.fill_loss(float(latest))
        return history

    def reading(self) -> NoiseReading:
        """Return the controller's reading, which here names the source of its rows."""
        reading = self.adaptive.reading()
        return dataclasses.replace(reading, source=self.measurement.source if reading.count else "none")

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly, as `torch.load(weights_only=True)` reads it."""
        state = {
            "controller": self.adaptive.state_dict(),
            "measurement": self.measurement.state_dict(parameters_of(self.optimizer), self._awaited),
            "steps": self.steps,
            "losses": self.losses.state_dict(),
            "rates": self.rates.state_dict(),
            "first": None if self._first is None else self._first.state_dict(),
        }
        rollback = None if self.rollback is None else self.rollback.state_dict()  # portable as it is
        return {**portable(state), "rollback": rollback}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly.

        Of a state with fewer parameters, saved before `add_param_group`, the path begins anew, as it does
        where a group is added; one with more is taken exactly if the group is added before the next step.

        Raises
        ------
        ValueError
            If it was saved under other settings or for other parameters; nothing is changed then.
        """
        rollback = state["rollback"]
        state = restored({key: value for key, value in state.items() if key != "rollback"})
        measured, first = state["measurement"], state["first"]
        parameters = parameters_of(self.optimizer)
        path = self.measurement.path
        if not path.is_of(parameters):
            path = path.of(parameters)
        same = path.check(measured["path"])
        self.adaptive.load_state_dict(state["controller"])
        if path is not self.measurement.path:
            self.measurement.follow(parameters)
        self._awaited = None if same else measured
        self.measurement.load_state_dict(measured)
        self.steps = state["steps"]
        self._turned = True  # perhaps: the next step looks
        self._unseen = 2  # the loss of the step before the save may come
        self.measurement.wake(self.steps % self.every == 0)
        self.losses.load_state_dict(state["losses"])
        self.rates.load_state_dict(state["rates"])
        self._first = None if first is None or not same else FirstStep.resumed(first, parameters)
        if self.rollback is not None and rollback is not None:
            self.rollback.load_state_dict(rollback)

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but the hooks: a copy hangs its own on the optimizer that came with it."""
        return {**self.__dict__, "_hooks": self._hooks.state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        hooks = state["_hooks"]
        if hooks[0]:
            unwatched(state["optimizer"])
        self.__dict__.update(state)
        self._watch()
        self._hooks.resume(hooks)

    def detach(self) -> None:
        """Take every hook away; the optimizer is as it was."""
        self.rates.restore()
        self._hooks.remove()
        self.measurement.close()
