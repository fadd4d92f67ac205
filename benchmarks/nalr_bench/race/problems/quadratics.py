"""Quadratic bowls: everything about them is known, so they show one difficulty at a time.

The customary start is 3 from the optimum in every coordinate. Unless a problem says otherwise a row's noise
has standard deviation 1 and a minibatch 16 rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nalr.landscapes import create_noisy_landscape
from nalr_bench.race.problems.length import length
from nalr_bench.race.problems.problem import Array, LandscapeProblem


class LoweredProblem(LandscapeProblem):
    """A landscape whose minibatch losses are lower by `LOWERED_BY`; the full loss is 0 at best as ever."""

    LOWERED_BY = 50.0

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw a minibatch and lower its loss."""
        loss, rows = super().sample(params)
        return loss - self.LOWERED_BY, rows


def ill_conditioned(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl of 50 parameters and condition 1000, noisiest where it is steepest.

    The flattest directions forget their start within 1000 time constants only: what is left is bias.
    """
    settings: dict[str, Any] = {"dim": 50, "condition": 1e3, "noise_covariance": "hessian", "epsilon": 1e-2}
    return _quadratic("quadratic-ill", "Quadratic, condition 1000", num_steps, **settings)


def easy(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl of 10 parameters and condition 10."""
    return _quadratic("quadratic-easy", "Quadratic, condition 10", num_steps, dim=10, condition=10.0)


def heavy_tailed(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl under Student-t noise of 2.5 degrees of freedom: its fourth moment is infinite."""
    settings: dict[str, Any] = {"dim": 20, "condition": 1e2, "noise": "student_t", "degrees_of_freedom": 2.5}
    return _quadratic("quadratic-student-t", "Quadratic, Student-t noise", num_steps, **settings)


def noise_free(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl whose rows are all the exact gradient.

    Its floor is rounding. `epsilon` stops far above, a hundred-millionth of the first loss: beyond that a
    ratio of two losses says nothing that anyone would act on.
    """
    settings: dict[str, Any] = {
        "dim": 20,
        "condition": 1e2,
        "noise_scale": 0.0,
        "batch_size": 4,
        "epsilon": 1e-6,
    }
    return _quadratic("quadratic-noise-free", "Quadratic, no noise", num_steps, **settings)


def deep(num_steps: int | None = None) -> LandscapeProblem:
    """Return the rotated bowl of DeepOBS (Schneider et al. 2019): 90 flat directions and 10 steep ones."""
    rng = np.random.default_rng(42)  # one surface, whatever the seed of a run
    spectrum = np.concatenate([rng.uniform(0.0, 1.0, 90), rng.uniform(30.0, 60.0, 10)])
    settings: dict[str, Any] = {"dim": 100, "spectrum": spectrum, "rotate": True}
    settings |= {"noise_covariance": "hessian", "epsilon": 1e-2}
    return _quadratic("quadratic-deep", "DeepOBS's deep quadratic", num_steps, **settings)


def one_row(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl that is seen one sample at a time: no minibatch has a spread of its own."""
    settings: dict[str, Any] = {
        "dim": 10,
        "condition": 30.0,
        "batch_size": 1,
        "noise_scale": 0.5,
        "epsilon": 1e-2,
    }
    return _quadratic("one-row", "Quadratic, one row at a time", num_steps, **settings)


def negative_loss(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl whose losses are negative from the start, for methods that divide by them."""
    settings: dict[str, Any] = {"dim": 10, "condition": 10.0, "make": LoweredProblem}
    return _quadratic("negative-loss", "Quadratic minus 50", num_steps, **settings)


def _quadratic(
    name: str,
    title: str,
    num_steps: int | None,
    *,
    batch_size: int = 16,
    epsilon: float = 1e-3,
    make: type[LandscapeProblem] = LandscapeProblem,
    noise_scale: float = 1.0,
    **settings: Any,
) -> LandscapeProblem:
    landscape = create_noisy_landscape(noise_scale=noise_scale, seed=0, **settings)
    return make(name, title, landscape, batch_size=batch_size, num_steps=length(num_steps), epsilon=epsilon)
