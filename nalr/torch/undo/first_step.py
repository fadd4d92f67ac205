"""The very first step, shortened where it promised more than there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nalr.moments.record import Moments
from nalr.torch.sums.path import wide

ALONG = 1.0 - 1e-4
"""Cosine of step and gradient above which they are one direction: float32 roundings."""


class FirstStep:
    """Keeps the parameters before the first step, until it has been made and its loss has come.

    What an optimizer makes of a gradient shows in its first step: Adam's moves every parameter by the rate. A
    step of any optimizer at rate η that is shortened by a factor is its step at that factor times η, weight
    decay included: the updates of all of them are linear in the rate. So the guard of the first step, which
    needs the loss, can be made good after it. Memory: a copy of the parameters, for that one step.
    """

    def __init__(self) -> None:
        self._parameters: Sequence[Tensor] = ()
        self._before: list[Tensor] | None = None
        self._moments: Moments | None = None
        self.loss = 0.0
        self.promise = 0.0  # ⟨g, s⟩ of the step

    @property
    def made(self) -> bool:
        """Whether there is a first step to judge."""
        return self._before is not None

    @property
    def waiting(self) -> bool:
        """Whether the first step has been made, and its loss not come."""
        return self._moments is not None

    @property
    def moments(self) -> Moments:
        """The sums of the first step."""
        assert self._moments is not None
        return self._moments

    def keep(self, parameters: Sequence[Tensor], loss: float) -> None:
        """Keep the parameters before the first step, and the loss that it is to lower; 0 if not known yet."""
        self._parameters, self.loss = parameters, loss
        self._before = [p.detach().clone() for p in parameters]

    def wait(self, moments: Moments) -> None:
        """Keep the sums of the first step until its loss comes."""
        self._moments = moments

    @torch.no_grad()
    def note(self, factor: float, carried: float) -> None:
        """Work out what the step just made promised: by gradients times `factor`, for `carried` such steps.

        A step along the gradient is plain SGD's, guarded before it is made: it promises nothing here.
        """
        assert self._before is not None
        product = squared_step = squared_gradient = 0.0
        for parameter, before in zip(self._parameters, self._before, strict=True):
            if parameter.grad is not None:
                step = before - parameter
                product += float(torch.sum(parameter.grad * step, dtype=wide(step)))
                squared_step += float(torch.sum(step * step, dtype=wide(step)))
                squared_gradient += float(torch.sum(parameter.grad * parameter.grad, dtype=wide(step)))
        along = product >= ALONG * math.sqrt(squared_step * squared_gradient)
        self.promise = 0.0 if along and carried == 1.0 else carried * factor * product

    @torch.no_grad()
    def shorten(self, factor: float) -> None:
        """Take back all but `factor` of the step, and forget it."""
        if factor < 1.0 and self._before is not None:
            for parameter, before in zip(self._parameters, self._before, strict=True):
                parameter.copy_(torch.lerp(before, parameter, factor))
        self._parameters = ()
        self._before = self._moments = None

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept; None twice for all but the moment between the first step and its loss."""
        moments = None if self._moments is None else list(self._moments)
        before = None if self._before is None else [b.clone() for b in self._before]
        return {"moments": moments, "before": before, "promise": self.promise}

    def load_state_dict(self, state: dict[str, Any], parameters: Sequence[Tensor]) -> None:
        """Take the state of `state_dict` exactly, for these parameters."""
        moments, before, self.promise = state["moments"], state["before"], state["promise"]
        self._moments = None if moments is None else Moments(*moments)
        self._parameters = parameters if before is not None else ()
        self._before = (
            None
            if before is None
            else [b.to(p.device, p.dtype, copy=True) for b, p in zip(before, self._parameters, strict=True)]
        )
