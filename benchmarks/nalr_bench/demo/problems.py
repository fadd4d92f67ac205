"""The three problems of the demo, as entries of the race. Their natural rate is 1: a factor is a rate."""

from __future__ import annotations

import math
from functools import partial

from nalr.landscapes import create_noisy_landscape
from nalr_bench.race.problems.digits import DigitsMLP
from nalr_bench.race.problems.entry import HELD_OUT, Entry
from nalr_bench.race.problems.problem import LandscapeProblem, Problem

NUM_STEPS = 2000
EPSILON = 1e-3
BUMP_PERIOD = 2.0 * math.pi / 10.0
"""Distance between the bumps of the rugged surface with its default frequency."""


def rugged(
    num_steps: int | None = None, noise_scale: float = 0.5, amplitude: float = 1.0
) -> LandscapeProblem:
    """Return the bowl with divots, started about 4 from the optimum in each coordinate."""
    return LandscapeProblem(
        "rugged",
        "Rugged bowl, 2 parameters",
        create_noisy_landscape(dim=2, noise_scale=noise_scale, kind="rugged", seed=0, amplitude=amplitude),
        batch_size=16,
        num_steps=num_steps or NUM_STEPS,
        epsilon=EPSILON,
        start_distance=4.0,
        basin=0.5 * BUMP_PERIOD,
    )


def valley(num_steps: int | None = None) -> LandscapeProblem:
    """Return the noisy narrow valley from its customary start."""
    return LandscapeProblem(
        "valley",
        "Narrow curved valley, 2 parameters",
        create_noisy_landscape(dim=2, noise_scale=1.0, kind="rosenbrock", seed=0),
        batch_size=16,
        num_steps=num_steps or NUM_STEPS,
        epsilon=EPSILON,
    )


def digits(num_steps: int | None = None) -> Problem:
    """Return the network on scikit-learn's digits."""
    return DigitsMLP(batch_size=32, num_steps=num_steps or NUM_STEPS, epsilon=EPSILON)


def rough(noise_scale: float, amplitude: float) -> Entry:
    """Return the rugged bowl with this noise and this height of its bumps."""
    make = partial(rugged, noise_scale=noise_scale, amplitude=amplitude)
    return Entry("rugged", HELD_OUT, "rugged", make, 1.0, 1.0, judged_escape=True)


RUGGED = Entry("rugged", HELD_OUT, "rugged", rugged, 1.0, 1.0, judged_escape=True)
VALLEY = Entry("valley", HELD_OUT, "valley", valley, 1.0, 1.0)
DIGITS = Entry("digits", HELD_OUT, "learning", digits, 1.0, 1.0)
