"""The very first step, shortened where it promised more than there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from nalr.moments.record import Moments
from nalr.torch.sums.views import wide

ALONG = 1.0 - 1e-4
"""Cosine of step and gradient above which they are one direction: float32 roundings."""


class FirstStep:
    """Keeps the parameters before the first step, until it has been made and its loss has come.

    How long a step an optimizer makes of a gradient shows in its first step: Adam's moves every parameter by
    the rate. The update of any optimizer is linear in the rate, weight decay included, so a step at rate η
    that is shortened by a factor is the step at that factor times η. So the first step can be limited after
    it was made, when its loss is known. Memory: a copy of the parameters, for that one step.

    Parameters
    ----------
    parameters : sequence of Tensor
        Those of the optimizer, before the step.
    moments : Moments
        The sums of the step.
    loss : float or None
        The loss that the step is to lower; None if it comes later.
    schedule : float
        What the user's own schedule makes of the base rate in it.

    Attributes
    ----------
    promise : float
        ⟨g, s⟩ of the step s = x_before − x_now, once it has been measured.
    length : float
        |s|/|x|, and what it grows to; nan until it has been measured, and where |x| is zero.
    """

    def __init__(
        self, parameters: Sequence[Tensor], moments: Moments, loss: float | None, schedule: float = 1.0
    ) -> None:
        self.moments, self.loss = moments, loss
        self.promise, self.length = 0.0, math.nan
        self._kept = 1.0  # share of the step that was kept so far
        self._parameters = parameters
        self._before = [p.detach().clone() for p in parameters]
        self._squared_norm = sum(float(torch.sum(x.to(wide(x)) ** 2)) for x in self._before)
        # A step at a share of the base rate is as long for its parameters as the whole for larger ones.
        seen = self._squared_norm / schedule**2 if schedule else math.nan
        self.moments = moments._replace(parameters_squared_norm=seen)

    @property
    def waiting(self) -> bool:
        """Whether the loss has not come."""
        return self.loss is None

    @torch.no_grad()
    def measure(self, factor: float, accumulation: float, signs: Sequence[float]) -> None:
        """Work out the promise of the step just made, from gradients times `factor`.

        A step along the gradient is plain SGD's, limited before it is made: it promises nothing here.
        `accumulation` is how many times its first length such a step grows to; `signs` are −1 for parameters
        whose group maximizes.
        """
        product = squared_step = squared_gradient = 0.0
        for parameter, before, sign in zip(self._parameters, self._before, signs, strict=True):
            if parameter.grad is not None:
                step = (before - parameter).to(wide(before))
                gradient = parameter.grad.to(step.dtype)
                product += sign * float(torch.sum(gradient * step))
                squared_step += float(torch.sum(step * step))
                squared_gradient += float(torch.sum(gradient * gradient))
        along = product >= ALONG * math.sqrt(squared_step * squared_gradient)
        self.length = math.nan
        if self._squared_norm > 0.0:
            self.length = accumulation * math.sqrt(squared_step / self._squared_norm)
        self.promise = 0.0 if along and accumulation == 1.0 else accumulation * factor * product

    @torch.no_grad()
    def shorten(self, factor: float) -> None:
        """Put the parameters back to where a step of `factor` times the length would have led."""
        if factor < self._kept:
            for parameter, before in zip(self._parameters, self._before, strict=True):
                parameter.copy_(torch.lerp(before, parameter, factor / self._kept))
            self._kept = factor

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a step whose loss has not come."""
        before = [b.clone() for b in self._before]
        numbers = [self.promise, self.length, self._kept]
        return {"moments": list(self.moments), "before": before, "numbers": numbers}

    @classmethod
    def resumed(cls, state: Mapping[str, Any], parameters: Sequence[Tensor]) -> FirstStep:
        """Return the step that `state_dict` was called on, for these parameters."""
        first = cls(parameters, Moments(*state["moments"]), None)
        for own, saved in zip(first._before, state["before"], strict=True):
            own.copy_(saved)
        first.moments = Moments(*state["moments"])
        first.promise, first.length, first._kept = state["numbers"]
        return first


def accumulation(optimizer: Optimizer) -> float:
    """Return how many times its first length a step of unchanging gradients grows to: 1/(1 − β)."""
    gains = [
        (1.0 - group.get("dampening", 0.0)) / (1.0 - group["momentum"])
        for group in optimizer.param_groups
        if 0.0 < group.get("momentum", 0.0) < 1.0
    ]
    return max(gains, default=1.0)
