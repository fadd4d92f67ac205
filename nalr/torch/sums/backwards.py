"""Every backward's own gradient, seen by hooks before it is added to what is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nalr.torch.sums.coordinates import Window
from nalr.torch.sums.path import sampled_norm, sampled_total

Norm = float | Tensor


class BackwardSums(NamedTuple):
    """What the backwards of one step were.

    Attributes
    ----------
    backwards : int
        k, the backwards since the last step.
    squares : float
        Σ |cᵢ|² of their own gradients cᵢ; only known for two or more.
    squared_norm : float
        |Σ cᵢ|² of what they left in `.grad`: before any clipping or unscaling; nan where nobody watched,
        because none came in the step before.
    total : float
        Sum of the values of Σ cᵢ, which tells what a reduction over ranks made of it; nan with one rank.
    """

    backwards: int
    squares: float
    squared_norm: float
    total: float = math.nan


class _Seen:
    """One parameter's part."""

    __slots__ = ("coming", "count", "first", "left", "squares", "total", "total_coming", "version")

    def __init__(self) -> None:
        self.count = 0  # backwards since the last step
        self.squares: Norm = 0.0  # Σ |cᵢ|², from the second on
        self.coming: Norm = 0.0  # the same with the gradient that is about to be added
        self.left: Norm = 0.0  # |grad|² after the latest
        self.total: Norm = 0.0  # sum of the values of all contributions; among ranks only
        self.total_coming: Norm = 0.0
        self.version = 0  # of the memory of grad then
        self.first: Tensor | None = None  # the first value of grad then

    def clear(self) -> None:
        self.count = 0
        self.squares = self.coming = self.left = self.total = self.total_coming = 0.0


class Backwards:
    """Hooks on parameters that watch gradients come in; they change nothing and keep no gradient.

    The first backward's gradient is looked at when the second comes, where it still lies in `.grad`. What
    backwards leave is only looked at once a gradient was changed before its step, as clipping and unscaling
    do; the smallest parameter is witness to that. So a step of one backward pays for two calls a parameter,
    and hardly for a read.

    Parameters
    ----------
    parameters, windows : sequences
        The parameters, and what to read of each.
    on_device : bool, optional
        Sum by operations of torch; by default off the CPU.
    reduced : bool
        Whether the gradients of several ranks are averaged in place when a backward ends. Then what lies in
        `.grad` is not this rank's own, and each contribution is looked at as it comes.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        windows: Sequence[Window],
        on_device: bool | None = None,
        reduced: bool = False,
    ) -> None:
        self._on_device, self._reduced = on_device, reduced
        self.awake = True  # asleep, hooks return at once
        self.watching = True  # whether what backwards leave is measured, to tell clipping from none
        self._parameters = list(parameters)
        trained = (p for p in parameters if p.requires_grad)
        self._witness = min(trained, key=lambda p: p.numel(), default=None)
        self._seen = {id(p): _Seen() for p in parameters}
        self._windows = {id(p): w for p, w in zip(parameters, windows, strict=True)}
        self._handles = []
        for parameter in parameters:
            if parameter.requires_grad:
                self._handles.append(self._watch_contribution(parameter))
                self._handles.append(_hook_after(parameter, self._after))

    def of(self, parameters: Sequence[Tensor], windows: Sequence[Window]) -> Backwards:
        """Take the hooks away and return those of other parameters."""
        self.close()
        return Backwards(parameters, windows, self._on_device, self._reduced)

    def _watch_contribution(self, parameter: Tensor) -> Any:
        def before(contribution: Tensor) -> None:
            self._before(parameter, contribution)

        return parameter.register_hook(before)  # type: ignore[no-untyped-call]

    def _norm(self, values: Tensor, parameter: Tensor) -> Norm:
        by_kernel = parameter.device.type == "cpu" if self._on_device is None else not self._on_device
        return sampled_norm(values, parameter, self._windows[id(parameter)], by_kernel)

    def _before(self, parameter: Tensor, contribution: Tensor) -> None:
        """Look at a gradient that is about to be added to `parameter.grad`.

        It may not be: `autograd.grad` comes by here too. So it counts from `_after` on.
        """
        seen = self._seen[id(parameter)]
        if (seen.count or self._reduced) and self.awake and not contribution.is_sparse:
            with torch.no_grad():
                self._add(seen, parameter, contribution)

    def _add(self, seen: _Seen, parameter: Tensor, contribution: Tensor) -> None:
        gradient = parameter.grad
        if seen.count and self._was_dropped(seen, parameter):
            self.clear()
        if self._reduced:
            seen.coming = seen.squares + self._norm(contribution, parameter)
            seen.total_coming = seen.total + sampled_total(
                contribution, parameter, self._windows[id(parameter)]
            )
        elif seen.count:
            assert gradient is not None
            before = self._norm(gradient, parameter) if seen.count == 1 else seen.squares
            seen.coming = before + self._norm(contribution, parameter)

    def _was_dropped(self, seen: _Seen, parameter: Tensor) -> bool:
        """Whether what the latest backward left was thrown away or changed, as when a scaler skips a step.

        Nobody but ranks changes gradients between the backwards of one step; zeroing, unscaling and clipping
        come after.
        """
        gradient = parameter.grad
        if gradient is None:
            return True
        if gradient._version == seen.version:
            return False
        return not self._reduced or float(self._norm(gradient, parameter)) == 0.0

    def _after(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if self.awake and gradient is not None and not gradient.is_sparse:
            seen = self._seen[id(parameter)]
            seen.count += 1
            seen.squares, seen.total = seen.coming, seen.total_coming
            seen.version = gradient._version
            if parameter is self._witness:
                seen.first = _first(gradient)
            if self.watching:
                with torch.no_grad():
                    seen.left = self._norm(gradient, parameter)

    def sums(self) -> BackwardSums:
        """Return the sums of the backwards since the last `clear`."""
        parts = [(p, self._seen[id(p)]) for p in self._parameters if self._seen[id(p)].count]
        count = max((seen.count for _, seen in parts), default=0)
        watched, changed = self.watching, self._changed()
        self.watching = changed or self._reduced
        left = _total([seen.left for _, seen in parts]) if watched else math.nan
        if count < 2 and not self._reduced:
            return BackwardSums(count, left, left)
        if not watched and not changed:
            for parameter, seen in parts:
                seen.left = self._norm(parameter.grad, parameter) if parameter.grad is not None else 0.0
        known = 0 if self._reduced else 1
        squares = _total([seen.squares if seen.count > known else seen.left for _, seen in parts])
        total = _total([seen.total for _, seen in parts]) if self._reduced else math.nan
        return BackwardSums(count, squares, left, total)

    def _changed(self) -> bool:
        """Whether gradients are no longer what the latest backward left, or nothing tells.

        Versions do not: unscaling leaves them as they were.
        """
        witness = self._witness
        if witness is None or witness.grad is None or not self._seen[id(witness)].count:
            return True
        before = self._seen[id(witness)].first
        assert before is not None
        return float(before) == 0.0 or float(_first(witness.grad)) != float(before)

    def clear(self) -> None:
        """Begin a new step."""
        for seen in self._seen.values():
            seen.clear()

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _first(gradient: Tensor) -> Tensor:
    """Return a copy of the first value, where it is."""
    return gradient.detach()[(0,) * gradient.dim()].clone()


def _hook_after(parameter: Tensor, hook: Callable[[Tensor], None]) -> Any:
    return parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]


def _total(norms: Sequence[Norm]) -> float:
    """Return the sum as a number, after one transfer from each device at most."""
    tensors = [norm for norm in norms if isinstance(norm, Tensor)]
    total = sum(norm for norm in norms if not isinstance(norm, Tensor))
    if tensors:
        total += float(torch.stack([norm.to(tensors[0].device) for norm in tensors]).sum())
    return total
