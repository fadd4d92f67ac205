"""Published test functions in two dimensions, made noisy: curved valleys, ripples and a plateau."""

from __future__ import annotations

from nalr.landscapes import create_noisy_landscape
from nalr_bench.race.problems.length import length
from nalr_bench.race.problems.problem import LandscapeProblem


def rosenbrock(num_steps: int | None = None) -> LandscapeProblem:
    """Return the narrow curved valley from its customary start: slow even where nothing goes wrong."""
    return _valley("rosenbrock", "Rosenbrock's valley", num_steps, noise_scale=1.0, epsilon=1e-4)


def beale(num_steps: int | None = None) -> LandscapeProblem:
    """Return the plateau with ridges, from its customary start."""
    return _valley("beale", "Beale's plateau", num_steps, noise_scale=0.5, epsilon=1e-5)


def rastrigin(num_steps: int | None = None) -> LandscapeProblem:
    """Return the deep ripples, started about 3 from the optimum; solved in the middle one, of period 1."""
    settings = {"noise_scale": 10.0, "epsilon": 1e-3, "start_distance": 3.0, "basin": 0.5}
    return _valley("rastrigin", "Rastrigin's ripples", num_steps, **settings)


def ackley(num_steps: int | None = None) -> LandscapeProblem:
    """Return the rippled funnel, started about 3 from its tip, a cone: the last steps must be short."""
    settings = {"noise_scale": 1.0, "epsilon": 1e-2, "start_distance": 3.0, "basin": 0.5}
    return _valley("ackley", "Ackley's funnel", num_steps, **settings)


def _valley(
    name: str,
    title: str,
    num_steps: int | None,
    *,
    noise_scale: float,
    epsilon: float,
    start_distance: float | None = None,
    basin: float | None = None,
) -> LandscapeProblem:
    return LandscapeProblem(
        name,
        title,
        create_noisy_landscape(dim=2, noise_scale=noise_scale, kind=name, seed=0),
        batch_size=16,
        num_steps=length(num_steps),
        epsilon=epsilon,
        start_distance=start_distance,
        basin=basin,
    )
