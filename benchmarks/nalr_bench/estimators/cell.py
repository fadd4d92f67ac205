"""What a simulation is made of: cells, and blocks of draws of them that any process may compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.arrays import threads
from nalr_bench.estimators.sampling import stream


class Cell(ABC):
    """Settings under which estimates are drawn again and again. Concrete ones are frozen dataclasses."""

    @property
    @abstractmethod
    def study(self) -> str:
        """The name in `options.STUDIES`."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Under which it stands in the table, with other cells of that title."""

    @property
    @abstractmethod
    def block(self) -> int:
        """Draws that are computed at a time: some seconds of work, and part of what the numbers hang on."""

    @property
    def times(self) -> int:
        """What the number of draws asked for is multiplied by."""
        return 1

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells the cell from all others: its randomness depends on it."""

    @abstractmethod
    def measure(self, draws: int, seed: int) -> NDArray[Any]:
        """Return what `draws` draws gave; of several blocks, what is to be joined by `join`."""

    @abstractmethod
    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the results of several blocks as one."""


class CoverageCell(Cell):
    """A cell that counts how often intervals hold the truth.

    `measure` returns counts of shape (labels, quantities). `labels` says under which settings, beside the
    cell's own, and `quantities` of what; one with a comma in it is a tempting form of what stands before it.
    """

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The settings of each line of counts."""

    @property
    @abstractmethod
    def quantities(self) -> tuple[str, ...]:
        """What each column of counts is of."""

    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the sum of the counts."""
        found: NDArray[Any] = np.sum(parts, axis=0)
        return found


@dataclass(frozen=True)
class Task:
    """One block of draws of one cell."""

    cell: Cell
    draws: int
    seed: int


def tasks(cell: Cell, draws: int, seed: int) -> Iterator[Task]:
    """Yield the blocks of a cell; which they are does not depend on who will compute them."""
    wanted = draws * cell.times
    for number, start in enumerate(range(0, wanted, cell.block)):
        yield Task(cell, min(cell.block, wanted - start), stream(seed, cell.name, number))


def perform(task: Task) -> NDArray[Any]:
    """Return what the block gives; on one thread, since the blocks themselves are shared out."""
    threads.set_num_threads(1)
    try:
        return task.cell.measure(task.draws, task.seed)
    finally:
        threads.set_num_threads(None)
