"""Cells of a simulation, and blocks of their draws that any process may compute."""

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
    """Settings under which estimates are drawn repeatedly. Concrete ones are frozen dataclasses.

    Attributes
    ----------
    study, title, name : str
        Key of `options.STUDIES`; heading in the table; identity, on which the random numbers depend.
    block : int
        Draws per task: some seconds of work. The numbers depend on it.
    times : int
        Factor of the number of draws.
    """

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
        return 1

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells the cell from all others: its randomness depends on it."""

    @abstractmethod
    def measure(self, draws: int, seed: int) -> NDArray[Any]:
        """Return the result of `draws` draws."""

    @abstractmethod
    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the results of several blocks as one."""


class CoverageCell(Cell):
    """A cell that counts how often intervals cover the truth, as an array (labels, quantities).

    `labels` are settings; a quantity with a comma is a biased alternative of the quantity before it.
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
        found: NDArray[Any] = np.sum(parts, axis=0)
        return found


@dataclass(frozen=True)
class Task:
    """One block of draws of one cell."""

    cell: Cell
    draws: int
    seed: int


def tasks(cell: Cell, draws: int, seed: int) -> Iterator[Task]:
    """Yield the blocks of a cell; they do not depend on the number of processes."""
    wanted = draws * cell.times
    for number, start in enumerate(range(0, wanted, cell.block)):
        yield Task(cell, min(cell.block, wanted - start), stream(seed, cell.name, number))


def perform(task: Task) -> NDArray[Any]:
    """Return the result of a block, on one thread, since blocks run in parallel."""
    threads.set_num_threads(1)
    try:
        return task.cell.measure(task.draws, task.seed)
    finally:
        threads.set_num_threads(None)
