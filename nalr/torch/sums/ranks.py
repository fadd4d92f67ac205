"""The ranks of a data-parallel run: one exchange of a few numbers, and all decide the same to the bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from nalr.torch.sums.backwards import BackwardSums
from nalr.torch.sums.path import PathSums

SAME = 1e-5
"""Relative difference of gradients below which they are the same: float32 roundings of a reduction."""


class SampleTotals(NamedTuple):
    """How many samples a step had, the sum of their |gᵢ|² as backwards made them, and |ḡ|² of the step."""

    drawn: int
    squares: float
    squared_norm: float


class StepSums(NamedTuple):
    """All that one step is judged by.

    Attributes
    ----------
    path : PathSums
        Of the gradient that the optimizer gets.
    total : float
        Sum of that gradient's values; only needed among ranks.
    backwards : BackwardSums or None
        Of the gradients that backwards made.
    samples : SampleTotals or None
        Of the samples' gradients.
    loss : float or None
        None where it comes later.
    """

    path: PathSums
    total: float
    backwards: BackwardSums | None
    samples: SampleTotals | None
    loss: float | None


class Ranks:
    """Processes that train copies of one model, each on data of its own, and average their gradients.

    Hooks see a rank's own gradient before it is reduced, the optimizer gets the mean: so ranks are rows.

    Parameters
    ----------
    group : ProcessGroup or None
        None is the default group.
    device : torch.device
        Where its backend takes tensors.

    Notes
    -----
    Numbers are gathered, not reduced: each rank adds the same numbers in the same order, whatever the
    backend's algorithm, so that no rank can come to another rate by a rounding.
    """

    def __init__(self, group: Any, device: torch.device) -> None:
        self.group, self.device = group, device
        self.size = dist.get_world_size(group)

    def gather(self, numbers: Sequence[float]) -> list[list[float]]:
        """Return the numbers of every rank."""
        own = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        everyones = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(everyones, own, group=self.group)
        found: list[list[float]] = torch.stack(everyones).tolist()
        return found

    def mean(self, number: float) -> float:
        """Return the mean of the ranks' numbers."""
        return sum(row[0] for row in self.gather([number])) / self.size

    def agree(self, own: StepSums) -> StepSums:
        """Return the sums of the step over all ranks, as if its rows had come from one."""
        seen = own.backwards or BackwardSums(0, 0.0, 0.0)
        samples = own.samples or SampleTotals(0, 0.0, 0.0)
        loss = 0.0 if own.loss is None else own.loss
        numbers = (*own.path, own.total, loss, *seen, *samples)
        columns = list(zip(*self.gather(numbers), strict=True))
        path = PathSums(*(sum(column) / self.size for column in columns[:6]))
        total, loss = (sum(column) / self.size for column in columns[6:8])
        counts, squares, _, totals, drawn, sample_squares, norms = columns[8:]
        return StepSums(
            path,
            total,
            None if own.backwards is None else self._rows(path, total, counts, squares, totals),
            SampleTotals(int(sum(drawn)), sum(sample_squares), sum(norms) / self.size)
            if min(drawn)
            else None,
            None if own.loss is None else loss,
        )

    def _rows(
        self,
        path: PathSums,
        total: float,
        counts: Sequence[float],
        squares: Sequence[float],
        totals: Sequence[float],
    ) -> BackwardSums:
        """Return the backwards of all ranks; each adds its gradient over the number of ranks to the mean."""
        norm, before = path.squared_norm, sum(totals) / self.size
        changed = norm > 0.0 and not abs(before - total) <= SAME * math.sqrt(norm)
        ratio = before / total if changed and total != 0.0 else 1.0
        return BackwardSums(
            int(sum(counts)), sum(squares) / self.size**2, norm * ratio**2 if ratio > 0.0 else norm, before
        )


def ranks_of(process_group: Any, parameters: Sequence[Tensor]) -> Ranks | None:
    """Return the ranks of a group; of the default one, if there is one of several, for "auto".

    Raises
    ------
    TypeError
        If `process_group` is none.
    """
    if process_group is None or not dist.is_available() or not dist.is_initialized():
        return None
    if isinstance(process_group, str) and process_group == "auto":
        process_group = None
    elif not isinstance(process_group, dist.ProcessGroup):
        raise TypeError(
            f'`process_group` must be a ProcessGroup, "auto" or None, got {type(process_group).__name__}.'
        )
    if dist.get_world_size(process_group) < 2:
        return None
    on_host = "gloo" in str(dist.get_backend(process_group)) or not parameters
    return Ranks(process_group, torch.device("cpu") if on_host else parameters[0].device)
