"""The ranks of a data-parallel run: one exchange of a few numbers, and all decide the same to the bit."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from nalr._checks import NoiseWarning
from nalr.torch.sums.backwards import BackwardSums
from nalr.torch.sums.path import PathSums

PATIENCE = 300.0
"""Seconds to wait for the other ranks. They just met to reduce their gradients, so it takes milliseconds.
Without a limit a rank that the others have left waits for ever, or as long as its backend does."""

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
    named : bool
        Whether the user named the group: that its processes train one model is then a claim, not a guess.

    Notes
    -----
    Numbers are gathered, not reduced: each rank adds the same numbers in the same order, whatever the
    backend's algorithm, so that no rank can come to another rate by a rounding.
    """

    def __init__(self, group: Any, device: torch.device, named: bool = False) -> None:
        self.group, self.device, self.named = group, device, named
        self.size = dist.get_world_size(group)
        self.compared = False
        """Whether the ranks are known to train one model."""

    def gather(self, numbers: Sequence[float]) -> list[list[float]]:
        """Return the numbers of every rank.

        Raises
        ------
        RuntimeError
            If another rank does not come within `PATIENCE`.
        """
        own = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        everyones = [torch.empty_like(own) for _ in range(self.size)]
        try:
            work = dist.all_gather(everyones, own, group=self.group, async_op=True)
            work.wait(timedelta(seconds=PATIENCE))
        except RuntimeError as error:
            raise RuntimeError(_missing("step")) from error
        found: list[list[float]] = torch.stack(everyones).tolist()
        return found

    def mean(self, number: float) -> float:
        """Return the mean of the ranks' numbers."""
        return sum(row[0] for row in self.gather([number])) / self.size

    def agree(self, own: StepSums, dimension: int) -> StepSums | None:
        """Return the sums of the step over all ranks, as if its rows had come from one.

        None, with one warning, where each has a model of its own: `dimension` values, another gradient.

        Raises
        ------
        ValueError
            If they have, and the user named the group.
        """
        seen = own.backwards or BackwardSums(0, 0.0, 0.0)
        samples = own.samples or SampleTotals(0, 0.0, 0.0)
        loss = 0.0 if own.loss is None else own.loss
        numbers = (*own.path, own.total, loss, *seen, *samples)
        columns = list(zip(*self.gather(numbers), strict=True))
        if not self.compared and not self._train_one_model(dimension, columns[5], columns[6]):
            return None
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

    def _train_one_model(self, dimension: int, norms: Sequence[float], totals: Sequence[float]) -> bool:
        """Compare dimensions, and reduced gradients once there are some; warn or raise if they differ."""
        dimensions = [row[0] for row in self.gather([dimension])]
        if len(set(dimensions)) == 1:
            if not math.isfinite(sum(norms)) or not any(norms):
                return True  # nothing to compare yet
            lengths = [math.sqrt(norm) for norm in norms]
            allowed = SAME * max(lengths)
            if all(max(seen) - min(seen) <= allowed for seen in (lengths, _rooted(totals, dimension))):
                self.compared = True
                return True
        if self.named:
            raise ValueError(
                "The ranks of `process_group` must step with the same gradient, got models of "
                f"{_listed(dimensions)} values, gradients of length {_listed(map(math.sqrt, norms))}. Name "
                "those that hold copies of one model, or give None where each decides alone."
            )
        warnings.warn(
            "The ranks do not step with the same gradient, so each decides its rate alone. Where some "
            "train copies of one model, name these as `process_group`; give None if this is meant.",
            NoiseWarning,
            stacklevel=2,
        )
        return False

    def _rows(
        self,
        path: PathSums,
        total: float,
        counts: Sequence[float],
        squares: Sequence[float],
        totals: Sequence[float],
    ) -> BackwardSums:
        """Return the backwards of all ranks; each adds its gradient over the number of ranks to the mean."""
        if not min(counts):  # backwards of one rank are not known
            return BackwardSums(0, math.nan, math.nan)
        norm, before = path.squared_norm, sum(totals) / self.size
        changed = norm > 0.0 and not abs(before - total) <= SAME * math.sqrt(norm)
        ratio = before / total if changed and total != 0.0 else 1.0
        return BackwardSums(
            int(sum(counts)), sum(squares) / self.size**2, norm * ratio**2 if ratio > 0.0 else norm, before
        )


def ranks_of(process_group: Any, parameters: Sequence[Tensor]) -> Ranks | None:
    """Return the ranks of a group; of the default one, if there is one of several, for "auto".

    Numbers go through a group of their own with the same members: what others send, as `Join` does for ranks
    that ran out of data, is not taken for ours.

    Raises
    ------
    TypeError
        If `process_group` is none.
    RuntimeError
        If another rank does not come within `PATIENCE`.
    """
    if process_group is None or not dist.is_available() or not dist.is_initialized():
        return None
    named = True
    if isinstance(process_group, str) and process_group == "auto":
        named, process_group = False, None
    elif not isinstance(process_group, dist.ProcessGroup):
        raise TypeError(
            f'`process_group` must be a ProcessGroup, "auto" or None, got {type(process_group).__name__}.'
        )
    if dist.get_world_size(process_group) < 2 or dist.get_rank(process_group) < 0:
        return None
    backend = dist.get_backend(process_group)
    try:
        group = dist.new_group(
            dist.get_process_group_ranks(process_group),
            timedelta(seconds=PATIENCE),
            backend,
            use_local_synchronization=True,
        )
    except RuntimeError as error:
        raise RuntimeError(_missing("scheduler")) from error
    on_host = "gloo" in str(backend) or not parameters
    return Ranks(group, torch.device("cpu") if on_host else parameters[0].device, named)


def _missing(thing: str) -> str:
    return (
        f"Every rank must make each {thing}, but another did not within {PATIENCE:g} s. Give all as many "
        "batches (`drop_last=True`, not `Join`), or `process_group=None` where each has a model of its own."
    )


def _rooted(totals: Sequence[float], dimension: int) -> list[float]:
    """Return sums of values by the root of their number: no longer than the gradient."""
    return [total / math.sqrt(dimension) for total in totals]


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.6g}" for number in numbers)
