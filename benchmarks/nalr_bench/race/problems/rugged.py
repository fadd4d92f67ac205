"""The bowl with divots, 32 minima in every coordinate: a rate must be large before it is small."""

from __future__ import annotations

import math

from nalr.landscapes import create_noisy_landscape
from nalr_bench.race.problems.length import length
from nalr_bench.race.problems.problem import LandscapeProblem

BUMP_PERIOD = 2.0 * math.pi / 10.0  # of the surface with its default frequency


def rugged(num_steps: int | None = None, *, dim: int, noise_scale: float) -> LandscapeProblem:
    """Return the bowl with divots, started about 4 from the optimum in each coordinate.

    Parameters
    ----------
    num_steps : int, optional
        Length of a run.
    dim : int
        Number of parameters, at least 1.
    noise_scale : float
        Standard deviation of one row's noise; the divots' slopes reach 10. At least 0.

    Returns
    -------
    LandscapeProblem
        Solved if every coordinate ends within half a period of the optimum. `epsilon` is 0.001 a coordinate:
        what noise leaves in the right divot, far below the 0.2 that the next divot costs.
    """
    return LandscapeProblem(
        f"rugged-{dim}d-noise-{_short(noise_scale)}",
        f"Rugged bowl, {dim} parameters, noise {noise_scale:g}",
        create_noisy_landscape(dim=dim, noise_scale=noise_scale, kind="rugged", seed=0),
        batch_size=16,
        num_steps=length(num_steps),
        epsilon=1e-3 * dim,
        start_distance=4.0,
        basin=0.5 * BUMP_PERIOD,
    )


def _short(number: float) -> str:
    return f"{number:g}".removeprefix("0") or "0"
