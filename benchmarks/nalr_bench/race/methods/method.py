"""What a method of the race is: settings that pickle, and the runs that it begins."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Array = NDArray[np.float64]

Kind = Literal["problem", "task"]
"""What a method can race on: a surface over a NumPy array, or a network of torch."""
PROBLEM: Kind = "problem"
TASK: Kind = "task"


class Diverged(Exception):
    """Raised by a run whose method refuses to go on from values that are not finite."""


class Stepper(Protocol):
    """One run of a method on a problem; it changes the parameters."""

    def step(self, rows: Array, loss: float) -> float:
        """Take a step from the gradient rows (B, D) and the minibatch loss at the present parameters.

        The parameters given to `begin` are changed in place. Returns the learning rate of the step, nan where
        the method has none that could be compared.

        Raises
        ------
        Diverged
            If the method itself gives up.
        """

    def judged(self) -> Array:
        """Return the parameters (D,) that the method would return to its user now: for some an average."""


class Training(Protocol):
    """One run of a method on a task; it changes the model's parameters."""

    def step(self, loss: Tensor) -> float:
        """Take a step from the gradients in the model and the minibatch loss; return the step's rate or nan.

        Raises
        ------
        Diverged
            If the method itself gives up.
        """

    def judged(self) -> AbstractContextManager[Module]:
        """Give the model with the parameters that the method would return; the run is the same afterwards."""


class Method(Protocol):
    """A method as settings: a frozen dataclass, whose `repr` tells all that a run depends on."""

    @property
    def name(self) -> str:
        """Short and unique, for tables, options and the cache."""

    @property
    def optimizer(self) -> str:
        """One of `OPTIMIZERS`: the family whose natural rate and tuned schedules it is compared with."""

    @property
    def takes_rate(self) -> bool:
        """Whether it starts from a base rate; one that does not is run once per seed."""

    @property
    def tuning_free(self) -> bool:
        """Whether it claims to need no sweep: ours, and the peers that it is compared with."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The packages that must be installed, as imported."""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it races on; where "problem" is missing `begin` is not called, and so for "task"."""

    @property
    def microbatches(self) -> int:
        """Backward passes a step of a task, each over its part of the minibatch."""

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run from `params` (D,), float64, contiguous, which the stepper will change in place.

        `base_lr` is not used, and may be nan, if the method takes none.
        """

    def begin_training(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Begin a run that trains `model`; `base_lr` as in `begin`."""


class OnProblems:
    """Base class of methods that race on problems alone."""

    kinds: ClassVar[tuple[Kind, ...]] = (PROBLEM,)
    microbatches: ClassVar[int] = 1

    def begin_training(self, model: Module, base_lr: float, num_steps: int) -> Training:
        """Raise."""
        raise TypeError(f"{self!r} does not train networks.")
