"""Every backward's own gradient, seen by hooks before it is added to what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nalr.torch.coordinates import Window
from nalr.torch.path import sampled_norm

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
    """

    backwards: int
    squares: float
    squared_norm: float


class _Seen:
    """One parameter's part."""

    __slots__ = ("coming", "count", "left", "squares", "version")

    def __init__(self) -> None:
        self.count = 0  # backwards since the last step
        self.squares: Norm = 0.0  # Σ |cᵢ|², from the second on
        self.coming: Norm = 0.0  # the same with the gradient that is about to be added
        self.left: Norm = 0.0  # |grad|² after the latest
        self.version = 0  # of the memory of grad then


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
    """

    def __init__(
        self, parameters: Sequence[Tensor], windows: Sequence[Window], on_device: bool | None = None
    ) -> None:
        self._on_device = on_device
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
        return Backwards(parameters, windows, self._on_device)

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
        if contribution.is_sparse:
            return
        if seen.count and _was_dropped(seen, gradient):
            self.clear()
        elif seen.count:
            assert gradient is not None
            before = self._norm(gradient, parameter) if seen.count == 1 else seen.squares
            seen.coming = before + self._norm(contribution, parameter)

    @torch.no_grad()
    def _after(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is not None and not gradient.is_sparse:
            seen = self._seen[id(parameter)]
            seen.count += 1
            seen.squares = seen.coming
            seen.left, seen.version = self._norm(gradient, parameter), gradient._version

    def sums(self) -> BackwardSums:
        """Return the sums of the backwards since the last `clear`."""
        parts = list(self._seen.values())
        count = max((seen.count for seen in parts), default=0)
        squares = _total([seen.squares if seen.count > 1 else seen.left for seen in parts if seen.count])
        return BackwardSums(count, squares, _total([seen.left for seen in parts if seen.count]))

    def clear(self) -> None:
        """Begin a new step."""
        for seen in self._seen.values():
            seen.count, seen.squares, seen.coming, seen.left = 0, 0.0, 0.0, 0.0

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()


def _hook_after(parameter: Tensor, hook: Callable[[Tensor], None]) -> Any:
    return parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]


def _was_dropped(seen: _Seen, gradient: Tensor | None) -> bool:
    """Whether what the latest backward left was thrown away or changed, as when a scaler skips a step.

    Nobody changes gradients between the backwards of one step; zeroing, unscaling and clipping come after.
    """
    return gradient is None or gradient._version != seen.version


def _total(norms: Sequence[Norm]) -> float:
    """Return the sum as a number, after one transfer from each device at most."""
    tensors = [norm for norm in norms if isinstance(norm, Tensor)]
    total = sum(norm for norm in norms if not isinstance(norm, Tensor))
    if tensors:
        total += float(torch.stack([norm.to(tensors[0].device) for norm in tensors]).sum())
    return total
