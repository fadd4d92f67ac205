"""Problems that are not the same at the end of a run as at its beginning."""

from __future__ import annotations

from collections.abc import Sequence

from nalr.landscapes import Landscape, create_noisy_landscape
from nalr_bench.race.problems.length import length
from nalr_bench.race.problems.problem import Array, LandscapeProblem

Phase = tuple[Landscape, int]  # what is drawn from, and how many rows a minibatch has


class PhasedProblem(LandscapeProblem):
    """A run in phases of equal length, each with a landscape and a batch size of its own.

    Parameters
    ----------
    name, title : str
        Identifier and heading.
    phases : sequence of (Landscape, int)
        In order, at least one. The landscapes differ in their noise only: the first one is asked for the
        start, the full loss and the optimum.
    num_steps : int
        Length of a run, at least 1.
    epsilon : float
        Added to losses before logarithms and ratios, positive.
    """

    def __init__(
        self, name: str, title: str, phases: Sequence[Phase], *, num_steps: int, epsilon: float
    ) -> None:
        landscape, batch_size = phases[0]
        super().__init__(name, title, landscape, batch_size=batch_size, num_steps=num_steps, epsilon=epsilon)
        self.phases = tuple(phases)
        self._step = 0

    def start(self, seed: int) -> Array:
        """Reseed the landscapes, each with a stream of its own, and go back to the first phase."""
        params = super().start(seed)
        for index, (landscape, _) in enumerate(self.phases):
            landscape.reseed(len(self.phases) * seed + index)
        self._step = 0
        return params

    def sample(self, params: Array) -> tuple[float, Array]:
        """Draw a minibatch of the present phase; the last one goes on if the run does."""
        index = min(self._step * len(self.phases) // self.num_steps, len(self.phases) - 1)
        self._step += 1
        landscape, batch_size = self.phases[index]
        return landscape.sample(params, batch_size)


def jump(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl whose optimum leaps 5 far after each quarter of the run but the last.

    A leap is as long as half the way from the start. The full loss is about the present optimum.
    """
    steps = length(num_steps)
    landscape = create_noisy_landscape(
        dim=10,
        noise_scale=1.0,
        kind="drifting",
        condition=10.0,
        drift=0.0,
        jump_every=steps // 4 + 1,  # so that the fourth leap is not after the last step
        jump_size=5.0,
        seed=0,
    )
    return LandscapeProblem(
        "jump", "Quadratic, three leaps", landscape, batch_size=16, num_steps=steps, epsilon=1e-3
    )


def drift(num_steps: int | None = None) -> LandscapeProblem:
    """Return a bowl whose optimum moves on steadily, away from the start, by 4 in every coordinate."""
    steps = length(num_steps)
    landscape = create_noisy_landscape(
        dim=10, noise_scale=1.0, kind="drifting", condition=10.0, drift=-4.0 / steps, seed=0
    )
    return LandscapeProblem(
        "drift", "Quadratic, steady drift", landscape, batch_size=16, num_steps=steps, epsilon=1e-2
    )


def batch_size_change(num_steps: int | None = None) -> PhasedProblem:
    """Return a bowl seen through 4 rows at a time, then 64, then 8."""
    landscape = create_noisy_landscape(dim=10, noise_scale=1.0, condition=30.0, seed=0)
    phases = [(landscape, batch_size) for batch_size in (4, 64, 8)]
    return PhasedProblem(
        "batch-size-change",
        "Quadratic, batches of 4, 64, 8",
        phases,
        num_steps=length(num_steps),
        epsilon=1e-3,
    )


def noisier(num_steps: int | None = None) -> PhasedProblem:
    """Return a bowl whose noise is four times stronger in the second half."""
    phases = [
        (create_noisy_landscape(dim=10, noise_scale=noise_scale, condition=30.0, seed=0), 16)
        for noise_scale in (1.0, 4.0)
    ]
    return PhasedProblem(
        "noisier", "Quadratic, noise x 4 at half", phases, num_steps=length(num_steps), epsilon=1e-2
    )
