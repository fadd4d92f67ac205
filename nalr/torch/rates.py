"""The learning rates of an optimizer's groups: the user's own, times our factor while a step is made."""

from __future__ import annotations

import math
import warnings
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from nalr._checks import NoiseWarning

Rate = float | Tensor


class Rates:
    """Reads the user's rates, and multiplies them for the time of a step.

    Outside a step the groups hold what the user, or a schedule, wrote there. So a schedule that computes its
    next rate from the present one finds its own value, and the optimizer is left as it was. A group without
    a rate (no `lr`, or None) is left alone.

    Parameters
    ----------
    optimizer : Optimizer
        At least one of its groups must have a positive rate: a float, an int, a number of NumPy, or a tensor
        of one element.
    low, high : float, optional
        Bounds of the effective rate of the first group whose rate is not zero.

    Raises
    ------
    ValueError
        If no group has a positive rate.
    """

    def __init__(self, optimizer: Optimizer, low: float | None = None, high: float | None = None) -> None:
        self.optimizer = optimizer
        self.base = [_number(group.get("initial_lr", group.get("lr"))) for group in optimizer.param_groups]
        self.reference = next((i for i, lr in enumerate(self.base) if lr > 0.0), -1)
        if self.reference < 0:
            raise ValueError(
                "`optimizer` must have a group with a positive learning rate, got "
                f"{[group.get('lr') for group in optimizer.param_groups]}. "
                "Let a warm-up start above zero, or leave it out: the search begins low enough."
            )
        self.low, self.high = low or 0.0, high or math.inf
        self.idle = False
        """Whether every rate was zero when the last step began, so that it moves nothing."""
        self.schedule = 1.0
        """What the user's own schedule made of the base rate then; 1 without one."""
        self.share = 1.0
        """The first rate that was not zero then, over `base_lr` times `schedule`; 1 for the reference."""
        self._full = {i: lr for i, lr in enumerate(self.base) if lr > 0.0}  # at schedule 1; oldest first
        self._own: list[Rate | None] = []  # the user's rates in the last step
        self._told: list[float] = []  # what `made` returned last
        self._kept: list[tuple[dict[str, Any], Any, Any]] = []  # group, the user's rate, ours
        self._warned = False

    @property
    def base_lr(self) -> float:
        """The first positive rate of a group at the start; the others keep their ratio to it."""
        return self.base[self.reference]

    # -- around a step ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Read the user's rates, after putting them back where the step before raised.

        Who writes a rate that `made` returned into a group means the rate that is in use, which is the user's
        own times our factor; so the user's own is put there. Such a number is known by being the same object.
        """
        self.restore()
        told, full = self._told, self._full
        moving: dict[int, float] = {}
        joined = False
        for index, group in enumerate(self.optimizer.param_groups):
            rate = group.get("lr")
            if index < len(told) and rate is told[index] and index < len(self._own):
                rate = group["lr"] = self._own[index]
            number = rate if type(rate) is float else _number(rate)
            if number != 0.0 and number == number:
                moving[index] = number
                joined = joined or index not in full
        self.idle = not moving
        for index in full:
            if index in moving:
                self.schedule = moving[index] / full[index]
                break
        if joined:  # a group that was added, or begins to move, does so at the schedule that there is
            self._full = {**full, **{i: lr / self.schedule for i, lr in moving.items() if i not in full}}
        for index in moving:
            made = self.schedule * self.base_lr
            self.share = 1.0 if index == self.reference else moving[index] / made
            break

    def held(self, lr: float) -> float:
        """Return a rate of ours whose product with the user's schedule is within the bounds."""
        scale = self.schedule * self.share
        made = lr * scale
        if self.low <= made <= self.high:
            return lr
        return (self.low if made < self.low else self.high) / scale

    def multiply(self, lr: float) -> None:
        """Write the user's rates times the factor of a rate of ours, until `restore`."""
        self.restore()
        factor = self.held(lr) / self.base[self.reference]
        own: list[Any] = []
        self._own = own
        tensors = []
        for group in self.optimizer.param_groups:
            rate = group.get("lr")
            if isinstance(rate, Tensor):  # compiled and captured steps look into it
                own.append(rate.detach().clone())
                self._kept.append((group, own[-1], rate))
                tensors.append((rate.detach(), own[-1]))
            else:
                own.append(rate)
                if rate is not None:
                    group["lr"] = written = float(rate) * factor
                    self._kept.append((group, rate, written))
        for tensor, rate in tensors:  # after all were read: groups may share one
            tensor.copy_(rate * factor)

    def restore(self) -> None:
        """Put the user's rates back."""
        for group, rate, written in self._kept:
            found = group.get("lr")
            if found is not written and not self._warned:
                self._warned = True
                warnings.warn(
                    "A learning rate was written while the optimizer's step was being made, and is dropped: "
                    "write rates between steps, where the groups hold your own.",
                    NoiseWarning,
                    stacklevel=3,
                )
            if isinstance(written, Tensor):
                written.detach().copy_(rate)
                group["lr"] = written
            else:
                group["lr"] = rate
        self._kept.clear()

    # -- what is shown ------------------------------------------------------------------------------

    def own(self) -> list[Any]:
        """Return the user's rate of each group, also while a step is made; tensors are copies."""
        kept = {id(group): rate for group, rate, _ in self._kept}
        rates = [kept.get(id(group), group.get("lr")) for group in self.optimizer.param_groups]
        return [rate.detach().clone() if isinstance(rate, Tensor) else rate for rate in rates]

    def made(self, factor: float) -> list[float]:
        """Return the rate of each group in the last step, made with this factor; nan for a group without.

        Before the first step it is that of the groups.
        """
        rates = [_number(rate) * factor for rate in self._own or self.own()]
        if rates != self._told:
            self._told = rates
        return list(self._told)

    def reset_to_base(self) -> None:
        """Write the rates that the groups began with, as a schedule that starts anew does."""
        self.restore()
        for group, rate in zip(self.optimizer.param_groups, self.base, strict=False):
            if isinstance(group.get("lr"), Tensor):
                group["lr"].detach().fill_(rate)
            elif not math.isnan(rate):
                group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return the user's rates in the last step."""
        own, full = [_number(rate) for rate in self._own], [list(pair) for pair in self._full.items()]
        return {"own": own, "schedule": self.schedule, "share": self.share, "full": full}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict`."""
        self._own, self.schedule, self.share = list(state["own"]), state["schedule"], state["share"]
        self._full = {index: lr for index, lr in state["full"]}


def _number(rate: Any) -> float:
    """Return a rate as a float; nan for none."""
    if isinstance(rate, Tensor):
        return float(rate.item())
    return math.nan if rate is None else float(rate)
