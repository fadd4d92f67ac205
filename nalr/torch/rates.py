"""The learning rates of an optimizer's groups: the user's own, times our factor while a step is made."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

Rate = float | Tensor


class Rates:
    """Reads the user's rates, and multiplies them for the time of a step.

    Outside a step the groups hold what the user, or a schedule, wrote there. So a schedule that computes its
    next rate from the present one finds its own value, and the optimizer is left as it was.

    Parameters
    ----------
    optimizer : Optimizer
        At least one of its groups must have a positive rate.

    Raises
    ------
    ValueError
        If no group has a positive rate.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        self.reference = next((i for i, lr in enumerate(self.base) if lr > 0.0), -1)
        if self.reference < 0:
            raise ValueError(
                f"`optimizer` must have a group with a positive learning rate, got {self.base}. "
                "Let a warm-up start above zero, or leave it out: the search begins low enough."
            )
        self.idle = False
        """Whether every rate was zero when the last step began, so that it moves nothing."""
        self.schedule = 1.0
        """What the user's own schedule made of the base rate then; 1 without one."""
        self._kept: list[tuple[dict[str, Any], Rate]] = []

    @property
    def base_lr(self) -> float:
        """The first positive rate of a group at the start; the others keep their ratio to it."""
        return self.base[self.reference]

    def begin(self) -> None:
        """Read the user's rates, after putting them back where the step before raised."""
        self.restore()
        groups = self.optimizer.param_groups
        self.schedule = float(groups[self.reference]["lr"]) / self.base[self.reference]
        self.idle = all(float(group["lr"]) == 0.0 for group in groups)

    def _own(self, group: dict[str, Any]) -> Rate:
        for kept, rate in self._kept:
            if kept is group:
                return rate
        rate = group["lr"]
        assert isinstance(rate, (int, float, Tensor))
        return rate

    def effective(self, factor: float) -> list[float]:
        """Return the rate of each group with this factor."""
        return [float(self._own(group)) * factor for group in self.optimizer.param_groups]

    def multiply(self, factor: float) -> None:
        """Write the user's rates times `factor`, until `restore`."""
        self.restore()
        for group in self.optimizer.param_groups:
            rate = group["lr"]
            self._kept.append((group, rate.clone() if isinstance(rate, Tensor) else rate))
            _write(group, rate * factor)

    def restore(self) -> None:
        """Put the user's rates back."""
        for group, rate in self._kept:
            _write(group, rate)
        self._kept.clear()


def _write(group: dict[str, Any], rate: Rate) -> None:
    """Write a rate; into the tensor that holds it, if one does: compiled and captured steps look there."""
    if isinstance(group["lr"], Tensor):
        group["lr"].copy_(rate) if isinstance(rate, Tensor) else group["lr"].fill_(rate)
    else:
        group["lr"] = rate
