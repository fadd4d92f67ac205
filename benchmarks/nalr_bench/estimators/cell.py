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
    """Settings under which estimates are drawn repeatedly; concrete ones are dataclasses.

    Attributes
    ----------
    study, title, name : str
        Key of `options.STUDIES`; heading in the table; identity, on which the random numbers depend.
    labels : tuple of str
        Settings of each series of results.
    block, times : int
        Draws per task, some seconds of work; factor of the number of draws. The numbers depend on them.
    """

    study: str
    title: str
    name: str
    labels: tuple[str, ...]
    block: int
    times = 1

    @abstractmethod
    def measure(self, draws: int, seed: int) -> NDArray[Any]:
        """Return the result of `draws` draws."""

    @abstractmethod
    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the results of several blocks as one."""


class CoverageCell(Cell):
    """A cell that counts how often intervals cover the truth, as an array (labels, quantities).

    A quantity with a comma is a biased alternative of the quantity before it.
    """

    quantities: tuple[str, ...]

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
