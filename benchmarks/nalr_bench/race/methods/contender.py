"""What a method of the race is: settings that pickle, and the run that they begin."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Diverged(Exception):
    """Raised by a stepper whose method refuses to go on from values that are not finite."""


class Stepper(Protocol):
    """One run of a method: it owns the moving of the parameters."""

    def step(self, rows: Array, loss: float) -> float:
        """Take a step from the gradient rows (B, D) and the minibatch loss at the present parameters.

        The parameters given to `begin` are changed in place. Returns the learning rate of the step, nan where
        the method has none worth the name.
        """

    def judged(self) -> Array:
        """Return the parameters (D,) that the method would hand to its user now.

        For most that is the array itself; methods that average hand out their average.
        """


class Contender(Protocol):
    """A method as settings."""

    @property
    def name(self) -> str:
        """Short and unique, for tables and the cache."""

    @property
    def optimizer(self) -> str:
        """One of `OPTIMIZERS`: whose natural scale it starts from, and whose tuned schedule it is held to."""

    @property
    def takes_rate(self) -> bool:
        """Whether it starts from a base rate; one that does not is run once per seed."""

    @property
    def tuning_free(self) -> bool:
        """Whether it claims to need no sweep: ours, and the peers that it is compared with."""

    def begin(self, params: Array, base_lr: float, num_steps: int) -> Stepper:
        """Begin a run from `params` (D,), float64, contiguous, which the stepper will change in place.

        `base_lr` is nan for a method that takes none.
        """
