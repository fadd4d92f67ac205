"""What a training problem is to the bench, and the problem that a synthetic landscape makes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nalr import _checks
from nalr.landscapes import Landscape

Array = NDArray[np.float64]


class Problem(Protocol):
    """Something to train, with a full loss that can be computed and all randomness from one seed.

    Problems go to worker processes, so they must pickle; `start` is called before anything else of a run.
    """

    @property
    def name(self) -> str:
        """Short identifier, for files and results."""

    @property
    def title(self) -> str:
        """One line for tables and plots."""

    @property
    def num_steps(self) -> int:
        """Length of a run."""

    @property
    def epsilon(self) -> float:
        """What is added to losses before logarithms and ratios: about the loss's floor, positive."""

    def start(self, seed: int) -> Array:
        """Start the random streams from `seed`; return the first parameters (D,)."""

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw a minibatch: its loss, and its gradient rows (B, D), whose mean is the loss's gradient."""

    def full_loss(self, params: Array) -> float:
        """Return the loss without sampling noise, 0 at best."""

    def metrics(self, params: Array) -> dict[str, float]:
        """Return what else is worth knowing about an outcome, by name."""

    def solved(self, params: Array) -> bool | None:
        """Say whether the outcome is a right one; None where the problem has no such notion."""


class LandscapeProblem:
    """A synthetic landscape, from its customary start or from a random one at a given distance.

    Parameters
    ----------
    name, title : str
        Identifier and heading.
    landscape : Landscape
        The surface and its noise; the problem reseeds it, so it should not be shared with a running one.
    batch_size : int
        Rows B of a minibatch, at least 1.
    num_steps : int
        Length of a run, at least 1.
    epsilon : float
        Added to losses before logarithms and ratios, positive.
    start_distance : float, optional
        If given, each coordinate of the start is this far from the optimum's, within 20 % either way and on a
        side drawn at random. Otherwise every run starts at `landscape.start`.
    basin : float, optional
        Half-width of the global basin: an outcome is solved if it is nearer than that to the optimum in
        every coordinate. Without it `solved` is None.

    Examples
    --------
    >>> from nalr.landscapes import create_noisy_landscape
    >>> bowl = create_noisy_landscape(dim=2, noise_scale=0.5)
    >>> problem = LandscapeProblem("bowl", "A bowl", bowl, batch_size=4, num_steps=100, epsilon=1e-3)
    >>> params = problem.start(seed=0)
    >>> loss, rows = problem.sample(params)
    >>> params, problem.full_loss(params), rows.shape
    (array([3., 3.]), 9.0, (4, 2))
    """

    def __init__(
        self,
        name: str,
        title: str,
        landscape: Landscape,
        *,
        batch_size: int,
        num_steps: int,
        epsilon: float,
        start_distance: float | None = None,
        basin: float | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.landscape = landscape
        self.batch_size = _checks.count("batch_size", batch_size, 1)
        self.num_steps = _checks.count("num_steps", num_steps, 1)
        self.epsilon = _checks.positive("epsilon", epsilon)
        self.start_distance = (
            None if start_distance is None else _checks.positive("start_distance", start_distance)
        )
        self.basin = None if basin is None else _checks.positive("basin", basin)

    def start(self, seed: int) -> Array:
        """Reseed the landscape and return the customary start, or one drawn from `seed`."""
        self.landscape.reseed(seed)
        if self.start_distance is None:
            return self.landscape.start.copy()
        rng = np.random.default_rng([seed, 1])  # its own stream: the start tells nothing of the noise
        side = rng.choice([-1.0, 1.0], size=self.landscape.dim)
        distance = self.start_distance * rng.uniform(0.8, 1.2, size=self.landscape.dim)
        return self.landscape.optimum + side * distance

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw a minibatch of the landscape."""
        return self.landscape.sample(params, self.batch_size)

    def full_loss(self, params: Array) -> float:
        """Return how far the true loss is above its minimum."""
        return float(self.landscape.true_loss(params)) - self.landscape.optimal_loss

    def metrics(self, params: Array) -> dict[str, float]:
        """Return the distance to the optimum."""
        with np.errstate(over="ignore"):
            return {"distance": float(np.linalg.norm(params - self.landscape.optimum))}

    def solved(self, params: Array) -> bool | None:
        """Say whether `params` lie in the global basin; None if its width was not given."""
        if self.basin is None:
            return None
        return bool((np.abs(params - self.landscape.optimum) < self.basin).all())
