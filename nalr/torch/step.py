"""Hooks around an optimizer's step: one decision a step, also with closures and nested calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch.optim import Optimizer

_OPTIMIZER_FILE = sys.modules[Optimizer.__module__].__file__


class StepHooks:
    """Calls `decide` once before each step of an optimizer, when its gradients are there; `restore` after it.

    Without a closure the gradients are there before the step; with one, after its first call. A subclass
    whose `step` calls that of its base runs the hooks twice in one step: the inner call is passed over.

    Parameters
    ----------
    optimizer : Optimizer
        Whose steps are watched.
    decide : callable
        Takes the loss that the closure returned, None without one. Returns whether the step takes part.
    restore : callable
        Called after a step, and where a closure raised: no hook of torch sees the end of such a step.

    Attributes
    ----------
    finish : callable or None
        Called once, after the next step that takes part.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        decide: Callable[[Any], bool],
        restore: Callable[[], None],
    ) -> None:
        self._decide, self._restore = decide, restore
        self.finish: Callable[[], None] | None = None
        self._frame: FrameType | None = None  # of the step that is being made
        self._nested = 0  # steps within it
        self._decided: bool | None = None  # what `decide` returned in this step; None if not called yet
        self._made = False  # a step that took part, since it was last asked for
        before = torch.compiler.disable(self._before)  # type: ignore[no-untyped-call]
        after = torch.compiler.disable(self._after)  # type: ignore[no-untyped-call]
        self._handles = [
            optimizer.register_step_pre_hook(before),
            optimizer.register_step_post_hook(after),
        ]
        # First after a step: a schedule that another hook advances there must find the user's own rates.
        optimizer._optimizer_step_post_hooks.move_to_end(self._handles[1].id, last=False)  # type: ignore[attr-defined]

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        if self.within():
            self._nested += 1
            return None
        self._frame, self._nested, self._decided = _frame_of_step(), 0, None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):
            self._decided = self._decide(None)
            return None
        if len(args) > 1:
            return (args[0], self._observed(closure), *args[2:]), kwargs
        return args, {**kwargs, "closure": self._observed(closure)}

    def _observed(self, closure: Callable[..., Any]) -> Callable[..., Any]:
        """Return the closure, followed by a decision where it is called first in a step."""

        def observed(*args: Any, **kwargs: Any) -> Any:
            try:
                loss = closure(*args, **kwargs)
            except BaseException:
                self._restore()
                raise
            if self._decided is None:
                self._decided = self._decide(loss)
            return loss

        return observed

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._nested:
            self._nested -= 1
            return
        self._frame = None
        self._restore()
        if self._decided:
            self._made = True
            finish, self.finish = self.finish, None
            if finish is not None:
                finish()

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
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _frame_of_step() -> FrameType | None:
    """Return the frame of torch's own wrapper of `step` that called us."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != _OPTIMIZER_FILE:
        frame = frame.f_back
    return frame
