"""What scheduler and wrapper share: hooks on an optimizer, a measurement a step, a factor on its rates."""

from __future__ import annotations

import dataclasses
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from nalr import controller
from nalr._checks import NoiseWarning
from nalr.noise.reading import NoiseReading
from nalr.policies.base import Decision
from nalr.torch.portable import portable, restored
from nalr.torch.rates import Rates
from nalr.torch.refusals import WATCHED, check_gradients, listed, parameters_of
from nalr.torch.sums.measurement import Measurement
from nalr.torch.undo.first_step import FirstStep
from nalr.torch.undo.rollback import Rollback

Loss = float | Tensor
_OPTIMIZER_FILE = sys.modules[Optimizer.__module__].__file__


class Engine:
    """Hooks that measure before a step, set its rates, and put the user's own back after it.

    A step is decided from its own gradients and the loss given with it, or the latest before it where the
    loss comes after the step.

    Parameters
    ----------
    optimizer : Optimizer
        Whose steps are watched.
    adaptive : controller.NoiseAdaptiveLR
        What decides.
    measurement : Measurement
        What makes sums of gradients.
    rates : Rates
        The optimizer's rates.
    every : int
        Steps from one measurement to the next.
    rollback : Rollback or None
        Keeps a copy to return to after a blow-up.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        adaptive: controller.NoiseAdaptiveLR,
        measurement: Measurement,
        rates: Rates,
        every: int,
        rollback: Rollback | None,
    ) -> None:
        self.optimizer, self.adaptive, self.measurement, self.rates = optimizer, adaptive, measurement, rates
        self.every, self.rollback = every, rollback
        self.steps = 0  # that moved something
        self.loss: Loss | None = None  # the latest one not yet used
        self.expects_losses = False
        self._pseudo_loss = 0.0
        self._first = FirstStep()
        self._frame: FrameType | None = None  # of the step that is being made
        self._nested = 0  # steps within it
        self._measured = False
        self._undo = False
        self._made = False  # a step since the last loss came
        self._warned = False
        WATCHED.add(optimizer)
        before = torch.compiler.disable(self._before_step)  # type: ignore[no-untyped-call]
        after = torch.compiler.disable(self._after_step)  # type: ignore[no-untyped-call]
        self._handles = [
            optimizer.register_step_pre_hook(before),
            optimizer.register_step_post_hook(after),
        ]

    @property
    def factor(self) -> float:
        """What the user's rates are multiplied by."""
        return self.adaptive.lr / self.adaptive.base_lr

    # -- around a step ------------------------------------------------------------------------------

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        if self._within_a_step():
            self._nested += 1  # a subclass that calls `super().step()`: one step, not two
            return None
        self._frame, self._nested = _frame_of_step(), 0
        self.rates.restore()  # where the step before raised
        self._measured = False
        if self.rates.idle or self._left_out():
            self.measurement.clear()
            return None
        args, kwargs, later = _with_closure(args, kwargs, self._after_closure, self.rates.restore)
        if not later:
            self._measure(self._take_loss())
        self.rates.multiply(self.factor)
        return (args, kwargs) if later else None

    def _after_closure(self, loss: Any) -> None:
        """Decide by the gradients and the loss of a closure that has just run, the first time in a step."""
        if self._measured:
            return
        self._measure(self._take_loss() if loss is None else checked(loss))
        self.rates.multiply(self.factor)

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._nested:
            self._nested -= 1
            return
        self._frame = None
        self._made = self._made or self._measured
        self.rates.restore()
        if self._measured and self._first.made:
            self._first.note(self.measurement.last_factor, carried(optimizer))
            if not self._first.waiting:
                self._shorten(1.0)
        if self._undo and self.rollback is not None:
            self._undo = False
            self._go_back()

    def _within_a_step(self) -> bool:
        """Whether the step whose hooks ran last is still being made; one that raised is not."""
        frame: FrameType | None = sys._getframe() if self._frame is not None else None
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    # -- deciding -----------------------------------------------------------------------------------

    def _measure(self, loss: Loss | None) -> None:
        """Measure the gradients that are there, and decide the rate of the step about to be made."""
        self._measured = True
        if self._first.waiting:  # no loss came after the first step
            self._settle_first(None)
        parameters = listed(self.optimizer)
        check_gradients(parameters)
        if not self.measurement.knows(parameters):
            self.measurement.follow(parameters_of(self.optimizer))
            self.adaptive.estimator.reset()  # what it knows is of other parameters
        if all(parameter.grad is None for parameter in parameters):
            return  # moves nothing
        self.steps += 1
        self.measurement.wake(self.steps % self.every == 0)
        if (self.steps - 1) % self.every:
            self.measurement.clear()
            return
        known = None if loss is None else number(loss)
        moments, loss = self.measurement.take(self.optimizer, self.adaptive.forgetting, known)
        if self.steps == 1:
            self._first.keep(parameters, 0.0 if loss is None else loss)
        if loss is None and self.steps == 1:
            self._first.wait(moments)
            return
        if loss is None and self.expects_losses:
            self._warn(
                "No loss was given since the last step, so the rate is held: call `step(loss)` after each."
            )
            return
        if loss is None:
            product = moments.step_product
            self._pseudo_loss -= 0.0 if math.isnan(product) else product
        self._decide(moments, self._pseudo_loss if loss is None else loss)

    def _left_out(self) -> bool:
        """Whether the optimizer itself leaves this step out: a fused one under a GradScaler."""
        return float(getattr(self.optimizer, "found_inf", None) or 0.0) > 0.0

    def _decide(self, moments: Any, loss: float) -> None:
        self.adaptive.update_policy(moments, loss)
        self.adaptive.set_applied_lr(self.adaptive.lr * self.rates.schedule * self.every)
        decision = self.adaptive.last_decision
        assert decision is not None
        if self.rollback is not None:
            self._undo = self.rollback.after(decision, self.steps)

    def _take_loss(self) -> Loss | None:
        loss, self.loss = self.loss, None
        return loss

    def give(self, loss: Loss | None) -> None:
        """Take in the loss of the step just made; it serves the decision on the next.

        The very first step is made before any loss is known. Where that loss shows that it was too long, it
        is shortened now: a step is linear in its rate.
        """
        if not self._within_a_step():
            self.rates.restore()  # where the step raised
        made, self._made = self._made, False
        if loss is None:
            if self._first.waiting:
                self._settle_first(None)
            return
        loss = checked(loss)
        self.expects_losses = True
        if self._first.waiting:
            self._settle_first(loss)
        if made or math.isfinite(number(loss)):  # else it is that of a step that a scaler left out
            self.loss = loss

    def _settle_first(self, loss: Loss | None) -> None:
        """Decide on the first step, now that its loss has come or is known not to."""
        known = 0.0 if loss is None else self.measurement.mean(number(loss))
        self._decide(self._first.moments, known)
        self._first.loss = known
        self._shorten(min(self.factor, 1.0))

    def _shorten(self, factor: float) -> None:
        """Take back what the first step promised too much, after a `factor` that was found already."""
        promise = factor * self._first.promise
        self._first.shorten(factor * self.adaptive.limit_first_step(promise, self._first.loss))

    def _go_back(self) -> None:
        """Return to the snapshot, with a tenth of its rate and a new path."""
        assert self.rollback is not None
        self.rollback.restore()
        self.measurement.restart()
        self.adaptive.restart(self.rollback.lr)

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, NoiseWarning, stacklevel=3)

    # -- what it knows ------------------------------------------------------------------------------

    def reading(self) -> NoiseReading:
        """Return the controller's reading, which here names the source of its rows."""
        reading = self.adaptive.reading()
        return dataclasses.replace(reading, source=self.measurement.source if reading.count else "none")

    @property
    def last_decision(self) -> Decision | None:
        """The controller's last decision."""
        return self.adaptive.last_decision

    # -- keeping ------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly, as `torch.load(weights_only=True)` reads it."""
        loss = self.loss
        state = {
            "controller": self.adaptive.state_dict(),
            "measurement": self.measurement.state_dict(),
            "steps": self.steps,
            "loss": None if loss is None else number(loss),
            "expects_losses": self.expects_losses,
            "pseudo_loss": self._pseudo_loss,
            "first": self._first.state_dict(),
        }
        rollback = None if self.rollback is None else self.rollback.state_dict()  # portable as it is
        return {**portable(state), "rollback": rollback}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly.

        Raises
        ------
        ValueError
            If it was saved under other settings or for other parameters; nothing is changed then.
        """
        rollback = state["rollback"]
        state = restored({key: value for key, value in state.items() if key != "rollback"})
        self.measurement.path.check(state["measurement"]["path"])
        self.adaptive.load_state_dict(state["controller"])
        self.measurement.load_state_dict(state["measurement"])
        self.steps, self.loss = state["steps"], state["loss"]
        self.measurement.wake(self.steps % self.every == 0)
        self.expects_losses, self._pseudo_loss = state["expects_losses"], state["pseudo_loss"]
        self._first.load_state_dict(state["first"], self.measurement.path.parameters)
        if self.rollback is not None and rollback is not None:
            self.rollback.load_state_dict(rollback)

    def detach(self) -> None:
        """Take every hook away; the optimizer is as it was."""
        self.rates.restore()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.measurement.close()
        WATCHED.discard(self.optimizer)


def carried(optimizer: Optimizer) -> float:
    """Return how many times its first length a step of unchanging gradients grows to: 1/(1 − β)."""
    gains = [
        (1.0 - group.get("dampening", 0.0)) / (1.0 - group["momentum"])
        for group in optimizer.param_groups
        if 0.0 < group.get("momentum", 0.0) < 1.0
    ]
    return max(gains, default=1.0)


def checked(loss: Any) -> Loss:
    """Return a loss as one number, or as a tensor of one that holds no graph: to read it now would wait.

    Raises
    ------
    TypeError, ValueError
        If it is not one number.
    """
    if isinstance(loss, Tensor):
        if loss.numel() != 1 or loss.is_complex():
            raise ValueError(
                f"`loss` must be one number, got a tensor of {loss.dtype} and shape {tuple(loss.shape)}."
            )
        return loss.detach()
    try:
        return float(loss)
    except (TypeError, ValueError):
        raise TypeError(f"`loss` must be one number, got {type(loss).__name__}.") from None


def number(loss: Loss) -> float:
    """Return a checked loss as a number; this waits for the device it is on."""
    return float(loss)


def _frame_of_step() -> FrameType | None:
    """Return the frame of torch's own wrapper of `step` that called us."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _OPTIMIZER_FILE:
        frame = frame.f_back
    return frame


def _with_closure(
    args: Any, kwargs: Any, after: Callable[[Any], None], failed: Callable[[], None]
) -> tuple[Any, Any, bool]:
    """Return the arguments of a step, a closure followed by `after` or `failed`, and whether there is one."""
    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if not callable(closure):
        return args, kwargs, False

    def observed(*inner: Any, **named: Any) -> Any:
        try:
            loss = closure(*inner, **named)
        except BaseException:
            failed()  # the step ends here, and no hook will see it
            raise
        after(loss)
        return loss

    if len(args) > 1:
        return (args[0], observed, *args[2:]), kwargs, True
    return args, {**kwargs, "closure": observed}, True
