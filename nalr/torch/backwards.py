"""Every backward's own gradient, seen by hooks before it is added to what is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nalr.torch.coordinates import Window
from nalr.torch.path import sampled_norm, sampled_total

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
        |Σ cᵢ|² of what they left in `.grad`: before any clipping or unscaling.
    total : float
        Sum of the values of Σ cᵢ, which tells what a reduction over ranks made of it; nan with one rank.
    """

    backwards: int
    squares: float
    squared_norm: float
    total: float = math.nan


class _Seen:
    """One parameter's part."""

    __slots__ = ("coming", "count", "left", "squares", "total", "total_coming", "version")

    def __init__(self) -> None:
        self.count = 0  # backwards since the last step
        self.squares: Norm = 0.0  # Σ |cᵢ|², from the second on
        self.coming: Norm = 0.0  # the same with the gradient that is about to be added
        self.left: Norm = 0.0  # |grad|² after the latest
        self.total: Norm = 0.0  # sum of the values of all contributions; among ranks only
        self.total_coming: Norm = 0.0
        self.version = 0  # of the memory of grad then

    def clear(self) -> None:
        self.count = 0
        self.squares = self.coming = self.left = self.total = self.total_coming = 0.0


class Backwards:
    """Hooks on parameters that watch gradients come in; they change nothing and keep no gradient.

    The first backward's gradient is looked at when the second comes, where it still lies in `.grad`: a step
    of one backward pays for one read of the window only.

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

    @torch.no_grad()
    def _before(self, parameter: Tensor, contribution: Tensor) -> None:
        """Look at a gradient that is about to be added to `parameter.grad`.

        It may not be: `autograd.grad` comes by here too. So it counts from `_after` on.
        """
        seen, gradient = self._seen[id(parameter)], parameter.grad
        if not self.awake or contribution.is_sparse:
            return
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

    @torch.no_grad()
    def _after(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if self.awake and gradient is not None and not gradient.is_sparse:
            seen = self._seen[id(parameter)]
            seen.count += 1
            seen.squares, seen.total = seen.coming, seen.total_coming
            seen.left, seen.version = self._norm(gradient, parameter), gradient._version

    def sums(self) -> BackwardSums:
        """Return the sums of the backwards since the last `clear`."""
        parts = [seen for seen in self._seen.values() if seen.count]
        count = max((seen.count for seen in parts), default=0)
        known = 0 if self._reduced else 1
        squares = _total([seen.squares if seen.count > known else seen.left for seen in parts])
        total = _total([seen.total for seen in parts]) if self._reduced else math.nan
        return BackwardSums(count, squares, _total([seen.left for seen in parts]), total)

    def clear(self) -> None:
        """Begin a new step."""
        for seen in self._seen.values():
            seen.clear()

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _hook_after(parameter: Tensor, hook: Callable[[Tensor], None]) -> Any:
    return parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]


def _total(norms: Sequence[Norm]) -> float:
    """Return the sum as a number, after one transfer from each device at most."""
    tensors = [norm for norm in norms if isinstance(norm, Tensor)]
    total = sum(norm for norm in norms if not isinstance(norm, Tensor))
    if tensors:
        total += float(torch.stack([norm.to(tensors[0].device) for norm in tensors]).sum())
    return total
