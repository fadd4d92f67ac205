"""Hooks around an optimizer's step: one decision a step, also with closures and nested calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any
from weakref import ref

import torch
from torch.optim import Optimizer

from nalr.torch.handles import Handles

_OPTIMIZER_FILE = sys.modules[Optimizer.__module__].__file__


class _Hook(partial[Any]):
    """A hook of ours: by its class an optimizer is known to be watched."""


def is_watched(optimizer: Optimizer) -> bool:
    """Whether a scheduler or wrapper of ours sets its rates at present."""
    return any(isinstance(hook, _Hook) for hook in optimizer._optimizer_step_pre_hooks.values())


class StepHooks:
    """Calls `decide` once before each step of an optimizer, when its gradients are there; `restore` after it.

    The optimizer knows the hooks weakly, and they their owner, as torch's schedulers are known: nothing but
    their owner keeps them, and they end with it. `restore` must not hold the owner.

    Without a closure the gradients are there before the step; with one, after its first call. A subclass
    whose `step` calls that of its base runs the hooks twice in one step: the inner call is passed over.

    Parameters
    ----------
    optimizer : Optimizer
        Whose steps are watched.
    owner : object
        Given to `prepare`, `decide` and `finish`.
    prepare : callable
        Takes the owner; called before a step with a closure.
    decide : callable
        Takes the owner and the loss that the closure returned, None without one. Returns whether the step
        takes part.
    restore : callable
        Called after a step, and where a closure raised: no hook of torch sees the end of such a step.

    Attributes
    ----------
    finish : callable or None
        Called once, with the owner, after the next step that takes part.
    seen : bool
        Whether a step was ever begun.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        owner: Any,
        prepare: Callable[[Any], None],
        decide: Callable[[Any, Any], bool],
        restore: Callable[[], None],
    ) -> None:
        self._owner = ref(owner)
        self._prepare_for, self._decide_for, self._restore = prepare, decide, restore
        self.finish: Callable[[Any], None] | None = None
        self.seen = False
        self._frame: FrameType | None = None  # of the step that is being made
        self._nested = 0  # steps within it
        self._decided: bool | None = None  # what `decide` returned in this step; None if not called yet
        self._made = False  # a step that took part, since it was last asked for
        before = torch.compiler.disable(StepHooks._before)  # type: ignore[no-untyped-call]
        after = torch.compiler.disable(StepHooks._after)  # type: ignore[no-untyped-call]
        hooks = (
            optimizer.register_step_pre_hook(_Hook(before, ref(self))),
            optimizer.register_step_post_hook(_Hook(after, ref(self))),
        )
        # First after a step: a schedule that another hook advances there must find the user's own rates.
        optimizer._optimizer_step_post_hooks.move_to_end(hooks[1].id, last=False)  # type: ignore[attr-defined]
        self._handles = Handles(self, hooks)

    @staticmethod
    def _before(hooks: ref[StepHooks], optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        self = hooks()
        if self is None:
            return None
        self.seen = True
        if self.within():
            self._nested += 1
            return None
        self._frame, self._nested, self._decided = _frame_of_step(), 0, None
        owner = self._owner()
        assert owner is not None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):
            self._decided = self._decide_for(owner, None)
            return None
        self._prepare_for(owner)
        if len(args) > 1:
            return (args[0], self._observed(owner, closure), *args[2:]), kwargs
        return args, {**kwargs, "closure": self._observed(owner, closure)}

    def _observed(self, owner: Any, closure: Callable[..., Any]) -> Callable[..., Any]:
        """Return the closure, followed by a decision where it is called first in a step."""

        def observed(*args: Any, **kwargs: Any) -> Any:
            try:
                loss = closure(*args, **kwargs)
            except BaseException:
                self._restore()
                raise
            if self._decided is None:
                self._decided = self._decide_for(owner, loss)
            return loss

        return observed

    @staticmethod
    def _after(hooks: ref[StepHooks], optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self = hooks()
        owner = None if self is None else self._owner()
        if self is None or owner is None:
            return
        if self._nested:
            self._nested -= 1
            return
        self._frame = None
        self._restore()
        if self._decided:
            self._made = True
            finish, self.finish = self.finish, None
            if finish is not None:
                finish(owner)

    def within(self) -> bool:
        """Whether the step whose hooks ran last is still being made; one that raised is not."""
        frame: FrameType | None = sys._getframe() if self._frame is not None else None
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    def take_made(self) -> bool:
        """Return whether a step that took part was made since this was called last."""
        made, self._made = self._made, False
        return made

    def remove(self) -> None:
        """Take the hooks away."""
        self._handles.remove()

    def state(self) -> tuple[bool, bool, bool]:
        """Return whether the hooks are there, a step was begun, and one was made that nobody asked for."""
        return bool(self._handles), self.seen, self._made

    def resume(self, state: tuple[bool, bool, bool]) -> None:
        """Go on from what `state` returned."""
        there, self.seen, self._made = state
        if not there:
            self.remove()


def _frame_of_step() -> FrameType | None:
    """Return the frame of torch's own wrapper of `step` that called us."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _OPTIMIZER_FILE:
        frame = frame.f_back
    return frame
