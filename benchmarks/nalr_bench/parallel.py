"""Independent tasks over worker processes, with the same results whatever their number."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from types import TracebackType
from typing import Any, TypeVar

from nalr import _checks
from nalr.arrays.threads import usable_cpus

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""Tasks handed out ahead for each process: none is ever idle, and little is lost when one fails."""


class Workers:
    """Processes that stay warm from one list of tasks to the next; a context manager.

    Parameters
    ----------
    jobs : int, optional
        Number of processes, at least 1; 1 works in this process. By default one for each CPU that this
        process may use.

    Notes
    -----
    Processes are spawned, not forked: a fork of a process with threads may deadlock, and Python warns of it.
    A script that uses more than one job must therefore guard its entry with ``if __name__ == "__main__"``.
    Each task runs on one BLAS thread, so that sums come in the same order wherever it runs.

    Examples
    --------
    >>> with Workers(jobs=1) as workers:
    ...     workers.map(abs, [-1, 2, -3])
    [1, 2, 3]
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = usable_cpus() if jobs is None else _checks.count("jobs", jobs, 1)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Callable[[], object] | None = None,
    ) -> list[Result]:
        """Return `function` of each item, in the items' order; call `progress` as each is done.

        With more than one job `function` and items must pickle. The first exception ends the call.
        """
        report = progress or _silent
        results: dict[int, Result] = {}
        for index, result in self.stream(function, items):
            results[index] = result
            report()
        return [results[index] for index in range(len(items))]

    def stream(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result]]:
        """Yield the index of each item and `function` of it as each is done, in whatever order that is.

        A few items for each process are under way at a time, so that a list may be long; they end, unseen,
        when the iteration is left.
        """
        if self.jobs == 1:
            for index, item in enumerate(items):
                yield index, _on_one_thread(function, item)
            return
        pool = self._started()
        waiting = iter(enumerate(items))
        pending: dict[Future[Result], int] = {}
        try:
            while True:
                with _interrupts_held():
                    for index, item in itertools.islice(waiting, AHEAD * self.jobs - len(pending)):
                        pending[pool.submit(_on_one_thread, function, item)] = index
                if not pending:
                    return
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield pending.pop(future), future.result()
        finally:
            for future in pending:
                future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_ignore_interrupts)
        return self._pool


def _on_one_thread(function: Callable[[Any], Result], item: Any) -> Result:
    """Call `function` with BLAS held to one thread, where threadpoolctl (a part of scikit-learn) is there."""
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        return function(item)
    with threadpool_limits(limits=1, user_api="blas"):
        return function(item)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C meanwhile, where the system can: workers inherit the block and leave it to the parent."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _silent() -> None:
    """Report to nobody."""
