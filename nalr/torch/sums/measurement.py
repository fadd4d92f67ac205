"""From the gradients of one optimizer step to the sums that the policy takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nalr.moments.record import Moments
from nalr.torch.sums.backwards import Backwards, BackwardSums
from nalr.torch.sums.path import PathSums, TensorPath
from nalr.torch.sums.ranks import Ranks, SampleTotals, StepSums
from nalr.torch.sums.units import Scales, Units
from nalr.torch.sums.views import sampled_total

if TYPE_CHECKING:
    from nalr.torch.sums.samples import SampleSource


class Measurement:
    """Makes the `Moments` of each step from the path, the backwards and, if wished, the samples.

    Parameters
    ----------
    path : TensorPath
        Of the optimizer's parameters.
    backwards : Backwards or None
        Hooks that see each backward; None measures from step to step alone.
    samples : SampleSource or None
        Norms of every sample's gradient.
    microbatch_size : int
        Samples that one backward's loss is the mean of.
    scaler : GradScaler, optional
        Whose scale the backwards' gradients carry.
    ranks : Ranks, optional
        Other processes that train the same model.

    Notes
    -----
    Rows are made so that their mean is the gradient of the step: of k backwards, row i is k times what
    backward i added, whether losses were divided by k or not.
    """

    def __init__(
        self,
        path: TensorPath,
        backwards: Backwards | None,
        samples: SampleSource | None,
        microbatch_size: int,
        scaler: Any = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.path, self.backwards, self.samples = path, backwards, samples
        self.microbatch_size, self.ranks = microbatch_size, ranks
        self.scales = Scales(scaler)
        self.source = "none"
        self.clipped = False
        self.known = False
        """Whether there was a step before on this path."""
        self._part: tuple[BackwardSums, float] | None = None  # seen of a step before new parameters joined it
        self.last_factor = math.nan  # units of the gradient before

    def take(self, optimizer: Any, forgetting: float, loss: float | None) -> tuple[Moments, float | None]:
        """Return the sums of the step about to be made from the gradients that are there, and its loss.

        Among ranks both are those of all.
        """
        sums = self._sums(forgetting, loss)
        if self.ranks is not None:
            agreed = self.ranks.agree(sums, self.path.dimension)
            if agreed is None:
                self._go_alone()
            sums = agreed or sums
        squared_norm, seen = sums.path.squared_norm, sums.backwards
        if self._part is not None:
            (seen, squared_norm), self._part = self._part, None
        units = self.scales.units(optimizer, squared_norm, seen)
        self.clipped = units.clipped
        moments, self.source = self._path_moments(sums.path, units), "steps"
        if not math.isfinite(sums.path.squared_norm):
            moments = moments._replace(nonfinite=1)
        elif sums.backwards is not None:
            moments = self._with_rows(moments, sums, units)
        return moments, sums.loss

    def _go_alone(self) -> None:
        """Take this process for the only one."""
        self.ranks = None
        if self.backwards is not None:
            self.backwards.reduced = False

    def mean(self, loss: float) -> float:
        """Return the loss of all ranks."""
        return loss if self.ranks is None else self.ranks.mean(loss)

    def _sums(self, forgetting: float, loss: float | None) -> StepSums:
        """Return this process's own sums."""
        seen = self.backwards.take() if self.backwards is not None else None
        samples = None
        if self.samples is not None and self.backwards is not None and seen is not None:
            samples = self.samples.collect(seen.backwards, self.backwards.tasks)
        total = math.nan if self.ranks is None else self._total()
        return StepSums(self.path.advance(forgetting), total, seen, samples, loss)

    def _total(self) -> float:
        """Return the sum of the values of the step's gradient."""
        pairs = zip(self.path.parameters, self.path.windows, strict=True)
        totals = [sampled_total(p.grad, p, window) for p, window in pairs if p.grad is not None]
        return float(torch.stack([t.to(totals[0].device) for t in totals]).sum()) if totals else 0.0

    def follow(self, parameters: list[Tensor]) -> None:
        """Begin a new path, and new hooks, for these parameters."""
        self.path = self.path.of(parameters)
        self.known, self.last_factor = False, math.nan
        if self.backwards is not None:
            if self.backwards.count and self.ranks is None:
                self._part = self.backwards.take_part()
            self.backwards = self.backwards.of(parameters, self.path.windows)

    def wake(self, awake: bool) -> None:
        """Watch the backwards of the next step, or let them pass."""
        if self.backwards is not None:
            self.backwards.awake = awake

    def close(self) -> None:
        """Take every hook away."""
        if self.backwards is not None:
            self.backwards.close()
        if self.samples is not None:
            self.samples.close()

    def clear(self) -> None:
        """Forget what the backwards of this step were."""
        self._part = None
        if self.backwards is not None:
            self.backwards.clear()
        if self.samples is not None:
            self.samples.clear()

    # -- moments ------------------------------------------------------------------------------------

    def _path_moments(self, sums: PathSums, units: Units) -> Moments:
        """Return the moments of one row: the step's own gradient, and the path."""
        f, weight = units.step, float(self.microbatch_size)
        moments = Moments(1, weight, self.path.dimension, f * f * sums.squared_norm, 0.0)
        if not math.isfinite(sums.step_squared_norm + sums.displacement_squared_norm):
            self.restart()  # sums would stay nan, also after the parameters are put right
        if self.known:
            moments = moments._replace(
                step_product=f * sums.step_product,
                step_squared_norm=sums.step_squared_norm,
                displacement_product=f * sums.displacement_product,
                displacement_squared_norm=sums.displacement_squared_norm,
                previous_product=f * self.last_factor * sums.previous_product,
            )
        self.known = True
        self.last_factor = f
        return moments

    def _with_rows(self, moments: Moments, sums: StepSums, units: Units) -> Moments:
        """Return the moments with the rows that samples, or several backwards or ranks, gave."""
        seen = sums.backwards
        assert seen is not None
        if sums.samples is not None and sums.samples.drawn >= 2:
            self.source = "samples"
            return self._by_sample(moments, sums.samples, units)
        if seen.backwards < 2:
            return moments
        self.source = "microbatches" if self.ranks is None else "ranks"
        k, weight = seen.backwards, float(self.microbatch_size)
        squares = k * k * units.backward * units.backward * seen.squares
        spread = weight * max(squares - k * moments.mean_squared_norm, 0.0)
        return moments._replace(num_rows=k, total_weight=k * weight, sum_squares=spread)

    def _by_sample(self, moments: Moments, samples: SampleTotals, units: Units) -> Moments:
        count, squared_norm = samples.drawn, units.step**2 * samples.squared_norm
        spread = max(units.backward**2 * samples.squares - count * squared_norm, 0.0)
        return moments._replace(
            num_rows=count, total_weight=float(count), mean_squared_norm=squared_norm, sum_squares=spread
        )

    def state_dict(self, parameters: list[Tensor], awaited: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the state: the path, unless these are other parameters, and how gradients were scaled.

        An awaited state, whose last parameters are not there yet, goes on unless the first ones are others.
        """
        if awaited is not None:
            sizes = [p.numel() for p in parameters]
            if awaited["path"]["sizes"][: len(sizes)] != sizes:
                awaited = {**awaited, "path": {"sizes": sizes, "signs": [], "tracks": []}}
            return awaited
        return {
            "path": self.path.state_dict(parameters),
            "known": self.known,
            "last_factor": self.last_factor,
            "ratio": self.scales.ratio,
            "scale": 1.0 if self.samples is None else self.samples.norms.scale,
            "watching": self.backwards is not None and self.backwards.watching,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state of `state_dict` exactly; the path begins anew where it is of other parameters."""
        if self.path.check(state["path"]):
            self.path.load_state_dict(state["path"])
            self.known, self.last_factor = state["known"], state["last_factor"]
        else:
            self.restart()
        self.scales.ratio = state["ratio"]
        if self.samples is not None:
            self.samples.norms.scale = state["scale"]
        if self.backwards is not None:
            self.backwards.watching = state["watching"]

    def restart(self) -> None:
        """Begin a new path at the present parameters."""
        self.path.reset()
        self.known, self.last_factor = False, math.nan
