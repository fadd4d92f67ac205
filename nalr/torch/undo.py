"""The very first step, made before any loss is known, and shortened when one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nalr.moments import Moments


class FirstStep:
    """Keeps the parameters before the first step, until its loss has come.

    A step of any optimizer at rate η that is shortened by a factor is its step at that factor times η, weight
    decay included: the updates of all of them are linear in the rate. So the guard of the first step, which
    needs the loss, can be made good after it. Memory: a copy of the parameters, for that one step.
    """

    def __init__(self) -> None:
        self._parameters: Sequence[Tensor] = ()
        self._before: list[Tensor] | None = None
        self._moments: Moments | None = None

    @property
    def waiting(self) -> bool:
        """Whether the first step has been made, and its loss not come."""
        return self._moments is not None

    @property
    def moments(self) -> Moments:
        """The sums of the first step."""
        assert self._moments is not None
        return self._moments

    def wait(self, moments: Moments, parameters: Sequence[Tensor]) -> None:
        """Keep the sums of the first step and the parameters before it."""
        self._moments, self._parameters = moments, parameters
        self._before = [p.detach().clone() for p in self._parameters]

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
        return {"moments": moments, "before": before}

    def load_state_dict(self, state: dict[str, Any], parameters: Sequence[Tensor]) -> None:
        """Take the state of `state_dict` exactly, for these parameters."""
        moments, before = state["moments"], state["before"]
        self._moments = None if moments is None else Moments(*moments)
        self._parameters = parameters if before is not None else ()
        self._before = (
            None
            if before is None
            else [b.to(p.device, p.dtype, copy=True) for b, p in zip(before, self._parameters, strict=True)]
        )
