"""One call of a layer: its input is kept until the gradient of its output comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class _Keep(torch.autograd.Function):
    """A node that saves one tensor and stands beside the graph.

    A plain reference would do, were it not for those who manage saved tensors: activation checkpointing drops
    and recomputes them, offloading moves them, and autograd notices when one was changed in place.
    """

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(kept)
        return anchor.new_empty(())


def keep(tensor: Tensor) -> Any:
    """Save `tensor` as autograd saves what a backward pass needs; its `saved_tensors` give it back."""
    anchor = torch.empty((), requires_grad=True)
    return _Keep.apply(anchor, tensor.detach()).grad_fn  # type: ignore[no-untyped-call]


class Tap:
    """The hook on the output of one call; holds what was kept no longer than until its gradient has come."""

    __slots__ = ("kept", "receive", "repeated", "shape")

    def __init__(
        self,
        receive: Callable[[Tensor | None, Tensor], None],
        repeated: Callable[[], None],
        kept: Any,
        shape: torch.Size,
    ) -> None:
        self.receive: Callable[[Tensor | None, Tensor], None] | None = receive
        self.repeated = repeated
        self.kept = kept
        self.shape = shape

    @torch.no_grad()
    def __call__(self, grad: Tensor) -> None:
        """Hand on the kept input and the gradient; a second gradient has nothing to meet and is reported."""
        if self.receive is None:
            self.repeated()
            return
        receive, self.receive = self.receive, None
        inputs = None if self.kept is None else self.kept.saved_tensors[0]
        self.kept = None
        with torch.autocast(grad.device.type, enabled=False):
            receive(inputs, grad.detach().reshape(self.shape))


def attach(output: Tensor, tap: Tap) -> None:
    """Hang `tap` on `output`, or on the tensor that it is a view of.

    An operation that changes a view in place rewrites the view's history, and a hook on it is lost. That is a
    `Linear` with three axes before an in-place ReLU.
    """
    base = output._base
    whole = base is not None and base.grad_fn is not None and base.numel() == output.numel()
    (base if base is not None and whole else output).register_hook(tap)  # type: ignore[no-untyped-call]
