"""The average of the iterates, for runs that may be stopped at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nalr import _checks, _state
from nalr.arrays.gradients import as_vector

Vector = NDArray[np.float64]

BLOCK = 32768
"""Coordinates averaged at a time: they and the change stay in the cache of a core."""


class IterateAverage:
    """A polynomially weighted average of the parameters: late ones count, early ones fade with the run.

    Update it after every step and evaluate its `average` instead of the parameters. A noise floor that
    only a decayed learning rate would remove averages out, at every moment of a run whose end is not
    known.

    Parameters
    ----------
    power : float
        Step t weighs as t^power; at least 0. 0 is the plain mean of Polyak and Ruppert, which never forgets a
        bad start; 8, the default, averages over about the last ninth of the run, whatever its length.

    Attributes
    ----------
    num_steps : int
        How many updates there were.

    Notes
    -----
    average ← average + (power + 1)/(t + power) · (parameters − average): Shamir and Zhang (2013), section 4,
    with their suffix average's guarantee at every t. Memory: one D-vector of float64. Cost: two passes over
    it, about a microsecond and 1 ns a parameter.

    It helps where noise in fast directions is what is left, that is where the learning rate is not annealed.
    After a planned anneal the last parameters are as good, and on a curved valley an average may lie off its
    floor. Layers that keep statistics of their inputs (batch normalisation) need them computed anew at the
    average.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> params, averaged = np.array([3.0]), IterateAverage()
    >>> for _ in range(2000):
    ...     params = params - 0.1 * (params + rng.normal(size=1))      # SGD on ½x², noisy, constant rate
    ...     _ = averaged.update(params)
    >>> bool(abs(averaged.average[0]) < 0.15)     # one over the root of the window; the last iterate: ±.23
    True
    """

    def __init__(self, power: float = 8.0) -> None:
        self.power = _checks.real("power", power, "at least 0 and finite", 0.0, float("inf"), closed="left")
        self.reset()

    def __repr__(self) -> str:
        return f"IterateAverage(power={self.power!r})"

    def reset(self) -> None:
        """Begin a new run."""
        self.num_steps = 0
        self._average: Vector | None = None

    def update(self, params: ArrayLike) -> IterateAverage:
        """Take in the parameters (D,) after a step; a list of arrays, one for each layer, will do too.

        Raises
        ------
        ValueError
            If D is not that of the updates before; nothing is changed then.
        """
        dimension = None if self._average is None else self._average.size
        vector = as_vector("params", params, dimension)
        if self._average is None:
            self._average = np.zeros(vector.dimension)
        self.num_steps += 1
        weight = (self.power + 1.0) / (self.num_steps + self.power)  # 1 at the first step
        scratch = np.empty(min(BLOCK, vector.dimension))
        for start in range(0, vector.dimension, BLOCK):
            average = self._average[start : start + BLOCK]
            change = scratch[: average.size]
            vector.columns(slice(start, start + average.size)).copy_row(change)
            change -= average
            change *= weight
            average += change
        return self

    @property
    def average(self) -> Vector:
        """The average (D,), a read-only view that later updates change.

        Raises
        ------
        ValueError
            Before the first update.
        """
        if self._average is None:
            raise ValueError("There is no average before the first `update`.")
        view = self._average.view()
        view.flags.writeable = False
        return view

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to go on exactly."""
        average = None if self._average is None else self._average.copy()
        return {"settings": repr(self), "num_steps": self.num_steps, "average": average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict` exactly.

        Raises
        ------
        ValueError
            If it was saved with another `power`; nothing is changed then.
        """
        _state.saved_by(self, state)
        average = state["average"]
        self._average = None if average is None else np.array(average, dtype=np.float64)
        self.num_steps = int(state["num_steps"])
