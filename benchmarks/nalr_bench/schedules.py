"""Learning rates fixed before the run: the baselines that are tuned by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nalr import _checks

Array = NDArray[np.float64]


class RateSource(Protocol):
    """The learning rates of one run, asked for step by step."""

    def rate(self, rows: Array, loss: float) -> float:
        """Return the rate of this step, from its gradient rows (B, D) and its minibatch loss."""

    def history(self) -> dict[str, Any] | None:
        """Return what the source recorded, by columns; None if it records nothing."""


class Rule(Protocol):
    """A way to choose learning rates, as settings: it pickles, and `begin` makes the source of one run."""

    @property
    def base_lr(self) -> float:
        """The rate it starts from."""

    def begin(self, num_steps: int) -> RateSource:
        """Return a fresh source for a run of `num_steps` steps."""


@dataclass(frozen=True)
class Constant:
    """The same rate at every step.

    Parameters
    ----------
    base_lr : float
        The rate, positive.

    Examples
    --------
    >>> source = Constant(0.1).begin(num_steps=2)
    >>> [source.rate(rows=None, loss=1.0) for _ in range(2)]
    [0.1, 0.1]
    """

    base_lr: float

    def __post_init__(self) -> None:
        _checks.positive("base_lr", self.base_lr)

    def begin(self, num_steps: int) -> RateSource:
        """Return the source of one run."""
        return _Planned(np.full(num_steps, self.base_lr))


@dataclass(frozen=True)
class LinearToZero:
    """A rate that falls in a straight line and would reach 0 one step after the last.

    Parameters
    ----------
    base_lr : float
        The first rate, positive.

    Examples
    --------
    >>> source = LinearToZero(0.1).begin(num_steps=4)
    >>> [round(source.rate(rows=None, loss=1.0), 3) for _ in range(4)]
    [0.1, 0.075, 0.05, 0.025]
    """

    base_lr: float

    def __post_init__(self) -> None:
        _checks.positive("base_lr", self.base_lr)

    def begin(self, num_steps: int) -> RateSource:
        """Return the source of one run."""
        return _Planned(self.base_lr * (1.0 - np.arange(num_steps) / num_steps))


class _Planned:
    """Rates known in advance, handed out one by one."""

    def __init__(self, rates: Array) -> None:
        self._rates = iter(rates.tolist())

    def rate(self, rows: Array | None, loss: float) -> float:
        return float(next(self._rates))

    def history(self) -> None:
        return None
