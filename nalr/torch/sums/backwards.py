"""Every backward's own gradient, seen by hooks before it is added to what is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor

from nalr.torch.handles import Handles
from nalr.torch.sums.coordinates import Window
from nalr.torch.sums.views import sampled_norm, sampled_total

Norm = float | Tensor


class BackwardSums(NamedTuple):
    """What the backwards of one step were.

    Attributes
    ----------
    backwards : int
        k, the backwards since the last step whose gradients are in `.grad`.
    squares : float
        Σ |cᵢ|² of their own gradients cᵢ; only known for two or more.
    squared_norm : float
        |Σ cᵢ|² of what they left in `.grad`, before any clipping or unscaling; nan where it was not measured,
        because there was neither in the step before.
    total : float
        Sum of the values of Σ cᵢ: it shows what a reduction over ranks made of it; nan with one rank.
    """

    backwards: int
    squares: float
    squared_norm: float
    total: float = math.nan


NO_TASK = -2
"""Below every number that autograd gives a backward, and below -1, its word for none."""


class _Seen:
    """What is known of the gradient of one parameter since the last step."""

    __slots__ = (
        "__weakref__",
        "began",
        "coming",
        "count",
        "first",
        "left",
        "parameter",
        "squares",
        "task",
        "total",
        "total_coming",
        "version",
        "window",
    )

    def __init__(self, parameter: Tensor, window: Window) -> None:
        self.parameter, self.window = parameter, window
        self.version = 0  # of the memory of grad after the latest backward
        self.first: Tensor | None = None  # the first value of grad then
        self.task = self.began = NO_TASK  # the latest backward, and the first, that reached it since the step
        self.clear()

    def clear(self) -> None:
        self.count = 0  # backwards
        self.squares: Norm = 0.0  # Σ |cᵢ|², from the second on
        self.coming: Norm = 0.0  # the same with the gradient that is about to be added
        self.left: Norm = 0.0  # |grad|² after the latest
        self.total: Norm = 0.0  # sum of the values of all contributions; among ranks only
        self.total_coming: Norm = 0.0


class Backwards:
    """Hooks on parameters that watch gradients come in; they change nothing and keep no gradient.

    The first backward's gradient is read when the second comes, where it still lies in `.grad`. What
    backwards leave is only read once a gradient was changed before its step, as clipping and unscaling do;
    the first value of the smallest parameter shows that. So a step of one backward costs two calls a
    parameter, and hardly a read.

    Gradients may be thrown away before a step: a batch is skipped, a scaler leaves the step out, another
    player's loss went through this model. Whatever clears `.grad` shows there when the next backward comes,
    or when the step does; what was counted until then is dropped. Autograd numbers backwards in the order in
    which they begin: `tasks` holds the numbers of those that count, None where that cannot be told.

    Parameters
    ----------
    parameters, windows : sequences
        The parameters, and what to read of each.
    on_device : bool, optional
        Sum by operations of torch; by default off the CPU.
    reduced : bool
        Whether the gradients of several ranks are averaged in place when a backward ends. Then what lies in
        `.grad` is not this rank's own, and each contribution is read as it comes.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        windows: Sequence[Window],
        on_device: bool | None = None,
        reduced: bool = False,
    ) -> None:
        self._on_device, self.reduced = on_device, reduced
        self.awake = True  # asleep, hooks return at once
        self.watching = True  # whether what backwards leave is measured: it shows clipping
        self._seen = [_Seen(p, w) for p, w in zip(parameters, windows, strict=True)]
        full = [seen for seen in self._seen if seen.parameter.requires_grad and seen.parameter.numel()]
        self._smallest = min(full, key=lambda seen: seen.parameter.numel(), default=None)
        self.tasks: set[int] | None = set()
        self._reached: set[int] = set()  # numbers of the backwards whose gradients are there
        self._dropped = NO_TASK  # number of the last backward whose gradients were thrown away
        self._doubt: Tensor | None = None  # whether gradients changed unseen between two backwards
        self._attach()

    def _attach(self) -> None:
        """Hang hooks on the parameters; none where one is no leaf, whose gradient torch shows too late.

        Frozen ones get them too: they may be trained later.
        """
        able = [seen for seen in self._seen if not seen.parameter.is_inference()]
        if not all(seen.parameter.is_leaf for seen in able):
            able = []
        self._handles = Handles(self, [handle for seen in able for handle in self._hooks(seen)])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": bool(self._handles)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.clear()  # copies of parameters have no gradients
        if state["_handles"]:
            self._attach()

    def of(self, parameters: Sequence[Tensor], windows: Sequence[Window]) -> Backwards:
        """Take the hooks away and return those of other parameters."""
        self.close()
        return Backwards(parameters, windows, self._on_device, self.reduced)

    def _hooks(self, seen: _Seen) -> tuple[Any, Any]:
        parameter: Any = seen.parameter
        trained = parameter.requires_grad
        parameter.requires_grad_(True)  # torch hangs no hook on a frozen one
        handles = (
            parameter.register_hook(partial(_before, ref(self), ref(seen))),
            parameter.register_post_accumulate_grad_hook(partial(_after, ref(self), ref(seen))),
        )
        parameter.requires_grad_(trained)
        return handles

    def _norm(self, values: Tensor, seen: _Seen) -> Norm:
        on_host = seen.parameter.device.type == "cpu" if self._on_device is None else not self._on_device
        return sampled_norm(values, seen.parameter, seen.window, on_host)

    def _before(self, seen: _Seen, contribution: Tensor) -> None:
        """Look at a gradient that is about to be added to the parameter's.

        It may not be: `autograd.grad` runs this hook too. So it counts from `_after` on.
        """
        if (seen.count or self.reduced) and self.awake and not contribution.is_sparse:
            with torch.no_grad():
                self._add(seen, contribution)

    def _add(self, seen: _Seen, contribution: Tensor) -> None:
        if seen.count and self._was_dropped(seen):
            self._drop(seen)
        if self.reduced:
            seen.coming = seen.squares + self._norm(contribution, seen)
            seen.total_coming = seen.total + sampled_total(contribution, seen.parameter, seen.window)
        elif seen.count:
            gradient = seen.parameter.grad
            assert gradient is not None
            if seen is self._smallest and seen.first is not None:
                changed = _first(gradient) != seen.first
                self._doubt = changed if self._doubt is None else self._doubt | changed
            before = self._norm(gradient, seen) if seen.count == 1 else seen.squares
            seen.coming = before + self._norm(contribution, seen)

    def _was_dropped(self, seen: _Seen) -> bool:
        """Whether what the latest backward left was thrown away or changed, as when a scaler skips a step.

        Only ranks change gradients between the backwards of one step; zeroing, unscaling and clipping come
        after. Gradients of weights that were joined for one product are parts of one buffer, with one counter
        of changes: there another's share may have been added, and only a gradient of zeros was thrown away.
        """
        gradient = seen.parameter.grad
        if gradient is None:
            return True
        if gradient._version == seen.version:
            return False
        shared = gradient.untyped_storage().nbytes() > gradient.nbytes
        return not (self.reduced or shared) or float(self._norm(gradient, seen)) == 0.0

    def _drop(self, seen: _Seen) -> None:
        """Forget what a parameter got: with it went the gradients of every backward until then."""
        if seen.task > self._dropped:
            self._dropped = seen.task
            self._reached = {task for task in self._reached if task > self._dropped}
        seen.clear()

    def _after(self, seen: _Seen) -> None:
        gradient = seen.parameter.grad
        if self.awake and gradient is not None and not gradient.is_sparse:
            seen.task = torch._C._current_graph_task_id()
            if not seen.count:
                seen.began = seen.task
            self._reached.add(seen.task)
            seen.count += 1
            seen.squares, seen.total = seen.coming, seen.total_coming
            seen.version = gradient._version
            if seen is self._smallest:
                seen.first = _first(gradient)
            if self.watching:
                with torch.no_grad():
                    seen.left = self._norm(gradient, seen)

    @property
    def count(self) -> int:
        """How many backwards there were since the last step."""
        return max((seen.count for seen in self._seen), default=0)

    def take(self) -> BackwardSums:
        """Return the sums of the backwards since the last step, and begin a new one."""
        whole, told = self._sort_out()
        sums, tasks = self._sums(told), self._reached
        self.clear()
        self.tasks = tasks if whole and told else None
        return sums

    @torch.no_grad()
    def _sort_out(self) -> tuple[bool, bool]:
        """Drop what was thrown away and not reached again.

        Returns whether each parameter still has what the latest backward gave it, and whether the backwards
        that are left are those whose gradients lie there.
        """
        latest, whole = max(self._reached, default=NO_TASK), True
        for seen in self._seen:
            gradient = seen.parameter.grad
            if not seen.count:
                continue
            if seen.task == latest:
                if gradient is None:  # this one alone was taken out
                    seen.clear()
                    whole = False
            elif gradient is None or (gradient._version != seen.version and not self._norm(gradient, seen)):
                self._drop(seen)
        if any(seen.count and seen.began <= self._dropped for seen in self._seen):
            return whole, False
        return whole, self._doubt is None or not bool(self._doubt)

    def take_part(self) -> tuple[BackwardSums, float]:
        """Return the sums where not all parameters were watched, and |g|² of those that were, as g is now."""
        parts = [(seen.parameter.grad, seen) for seen in self._seen if seen.count]
        now = _total([self._norm(gradient, seen) for gradient, seen in parts if gradient is not None])
        return self.take(), now

    def _sums(self, told: bool) -> BackwardSums:
        parts = [seen for seen in self._seen if seen.count]
        count = self.count if told else 0 if self.reduced else min(self.count, 1)
        watched, changed = self.watching, self._changed()
        self.watching = changed or self.reduced
        left = _total([seen.left for seen in parts]) if watched else math.nan
        if count < 2 and not self.reduced:
            return BackwardSums(count, left, left)
        if not watched and not changed:
            for seen in parts:
                gradient = seen.parameter.grad
                seen.left = self._norm(gradient, seen) if gradient is not None else 0.0
        known = 0 if self.reduced else 1
        squares = _total([seen.squares if seen.count > known else seen.left for seen in parts])
        total = _total([seen.total for seen in parts]) if self.reduced else math.nan
        return BackwardSums(count, squares, left, total)

    def _changed(self) -> bool:
        """Whether gradients are no longer what the latest backward left, or that is not known.

        Version counters do not show it: unscaling leaves them as they were.
        """
        seen = self._smallest
        if seen is None or seen.parameter.grad is None or not seen.count:
            return True
        assert seen.first is not None
        before = float(seen.first)
        return before == 0.0 or float(_first(seen.parameter.grad)) != before

    def clear(self) -> None:
        """Begin a new step."""
        for seen in self._seen:
            seen.clear()
        self.tasks, self._reached, self._dropped, self._doubt = set(), set(), NO_TASK, None

    def close(self) -> None:
        """Take the hooks away."""
        self._handles.remove()


def _before(backwards: ref[Backwards], seen: ref[_Seen], contribution: Tensor) -> None:
    owner, of = backwards(), seen()
    if owner is not None and of is not None:
        owner._before(of, contribution)


def _after(backwards: ref[Backwards], seen: ref[_Seen], parameter: Tensor) -> None:
    owner, of = backwards(), seen()
    if owner is not None and of is not None:
        owner._after(of)


def _first(gradient: Tensor) -> Tensor:
    """Return a copy of the first value, where it is; nan if there is none."""
    if not gradient.numel():
        return torch.full((), math.nan, device=gradient.device)
    return gradient.detach()[(0,) * gradient.dim()].clone()


def _total(norms: Sequence[Norm]) -> float:
    """Return the sum as a number, after one transfer from each device at most."""
    tensors = [norm for norm in norms if isinstance(norm, Tensor)]
    total = sum(norm for norm in norms if not isinstance(norm, Tensor))
    if tensors:
        total += float(torch.stack([norm.to(tensors[0].device) for norm in tensors]).sum())
    return total
