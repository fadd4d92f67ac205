"""A matrix of low rank from single entries seen through noise: not convex, and a saddle at the start."""

from __future__ import annotations

import math

import numpy as np

from nalr import _checks
from nalr_bench.race.problems.length import length
from nalr_bench.race.problems.problem import Array

NUM_ROWS, NUM_COLUMNS, RANK = 30, 20, 4
FIRST_SCALE = 0.05  # of the factors: near the saddle at 0, and off it


class Factorization:
    """½ (u_i · v_j − M_ij)² at entries (i, j) drawn at random, M a 30 × 20 matrix of rank 4.

    M is the product of two standard normal factors, halved so that an entry has variance 1; D = 200.

    Parameters
    ----------
    batch_size : int
        Entries of a minibatch, one gradient row each, at least 1.
    noise_scale : float
        Standard deviation of the noise with which an entry is seen, anew each time; at least 0.
    num_steps : int
        Length of a run, at least 1.
    epsilon : float
        Added to losses before logarithms and ratios, positive.
    """

    name = "factorization"
    title = "Matrix factorisation, rank 4"

    def __init__(self, *, batch_size: int, noise_scale: float, num_steps: int, epsilon: float) -> None:
        self.batch_size = _checks.count("batch_size", batch_size, 1)
        self.noise_scale = _checks.real(
            "noise_scale", noise_scale, "non-negative and finite", 0.0, math.inf, closed="left"
        )
        self.num_steps = _checks.count("num_steps", num_steps, 1)
        self.epsilon = _checks.positive("epsilon", epsilon)
        rng = np.random.default_rng(3)  # one matrix, whatever the seed of a run
        left, right = rng.standard_normal((NUM_ROWS, RANK)), rng.standard_normal((NUM_COLUMNS, RANK))
        self.matrix = left @ right.T / math.sqrt(RANK)  # (30, 20)

    def start(self, seed: int) -> Array:
        """Draw small factors, and begin the stream of entries."""
        self._rng = np.random.default_rng([seed, 0])
        factors = np.random.default_rng([seed, 1]).standard_normal((NUM_ROWS + NUM_COLUMNS) * RANK)
        return FIRST_SCALE * factors

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw a minibatch of entries: mean loss, and one row per entry, 0 but in 8 of 200 places."""
        i = self._rng.integers(NUM_ROWS, size=self.batch_size)
        j = self._rng.integers(NUM_COLUMNS, size=self.batch_size)
        seen = self.matrix[i, j] + self.noise_scale * self._rng.standard_normal(self.batch_size)
        factors = params.reshape(-1, RANK)  # those of the rows, then those of the columns
        left, right = factors[i], factors[NUM_ROWS + j]
        residuals = (left * right).sum(axis=1) - seen
        rows = np.zeros((self.batch_size, NUM_ROWS + NUM_COLUMNS, RANK))
        entries = np.arange(self.batch_size)
        rows[entries, i] = residuals[:, None] * right
        rows[entries, NUM_ROWS + j] = residuals[:, None] * left
        return 0.5 * float(residuals @ residuals) / self.batch_size, rows.reshape(self.batch_size, -1)

    def full_loss(self, params: Array) -> float:
        """Return half the mean squared error of the product; the noise's own share is left out."""
        factors = params.reshape(-1, RANK)
        product = factors[:NUM_ROWS] @ factors[NUM_ROWS:].T
        return 0.5 * float(((product - self.matrix) ** 2).mean())

    def metrics(self, params: Array) -> dict[str, float]:
        """Return nothing: the full loss says it all."""
        return {}

    def solved(self, params: Array) -> bool | None:
        """Return None: all minima are global, a fit is better or worse."""
        return None


def factorization(num_steps: int | None = None) -> Factorization:
    """Return the factorisation seen 32 entries at a time."""
    return Factorization(batch_size=32, noise_scale=0.5, num_steps=length(num_steps), epsilon=1e-3)
