"""How many threads the kernels may use, and the loop that shares work out to them.

Parallel work is done by Python threads over serial kernels that release the GIL, not by Numba's
``parallel=True``. Numba's layers die in a child forked after a parallel kernel ran (a DataLoader worker is
one), ``workqueue`` aborts the process when two Python threads enter it at once (numba#9327), and a second
OpenMP runtime beside that of torch crashes on Apple silicon. Threads of our own have none of this, and cost
about 20 µs a call; callers use them only where that pays.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from nalr import _checks

T = TypeVar("T")

OWN_VARIABLE = "NALR_NUM_THREADS"
FOREIGN_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Where people already say how many threads numerical code may use."""

_chosen: int | None = None
_default: tuple[int, str] | None = None
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_pool_lock = threading.Lock()
_thread = threading.local()


def set_num_threads(count: int | None) -> None:
    """Set the most threads that kernels may use in this process, over every other limit.

    Parameters
    ----------
    count : int or None
        At least 1; 1 means that no thread but the caller's works. None restores the default, which
        `get_num_threads` describes.

    Raises
    ------
    TypeError, ValueError
        If `count` is not a whole number of at least 1.

    Examples
    --------
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    global _chosen
    _chosen = None if count is None else _checks.count("count", count, 1)


def get_num_threads() -> int:
    """Return how many threads kernels would use now.

    It is the number given to `set_num_threads`. Without one it is the environment's ``NALR_NUM_THREADS``,
    else the CPUs that this process may use, at most ``OMP_NUM_THREADS`` and ``NUMBA_NUM_THREADS``; and in
    both cases at most the threads of torch, if torch is loaded, since its limit (a DataLoader sets it to one
    in its workers) is meant for all numerical work. The environment is read once.

    Raises
    ------
    ValueError
        If ``NALR_NUM_THREADS`` is not a whole number of at least 1. Other programs' variables are
        ignored where they are not such a number.
    """
    if _chosen is not None:
        return _chosen
    number = (_default or _read_default())[0]
    # Looked up, never imported; half imported, it cannot say yet.
    ask_torch = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return number if ask_torch is None else min(number, ask_torch())


def why_num_threads() -> str:
    """Return what decides `get_num_threads` now: a call, a variable, a limit of torch, or the CPUs."""
    if _chosen is not None:
        return "set_num_threads"
    number, reason = _default or _read_default()
    return reason if get_num_threads() == number else "torch.get_num_threads()"


def usable_cpus() -> int:
    """Return how many CPUs this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _read_default() -> tuple[int, str]:
    """Return, and keep, the number that the environment gives, and what gave it."""
    global _default
    own = os.environ.get(OWN_VARIABLE)
    if own:
        number = _whole(own)
        if number is None:
            raise ValueError(f"`{OWN_VARIABLE}` must be a whole number of at least 1, got {own!r}.")
        _default = number, OWN_VARIABLE
    else:
        limits = [(usable_cpus(), "the CPUs this process may use")]
        for name in FOREIGN_VARIABLES:
            # OpenMP allows a list, a number for each level of nesting; the first is the outermost.
            limit = _whole(os.environ.get(name, "").split(",")[0])
            if limit is not None:
                limits.append((limit, name))
        _default = min(limits, key=lambda limit: limit[0])
    return _default


def _whole(text: str) -> int | None:
    """Return the whole number of at least 1 that `text` says, or None."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) >= 1 else None


def run(task: Callable[[int], T], count: int) -> list[T]:
    """Return ``[task(i) for i in range(count)]``, the calls shared among threads.

    The caller works too, and never waits for a helper that has not begun, so that a busy pool costs
    nothing but its help. Indices go out one by one: unequal tasks, and CPUs that others use, even out.
    Within a helper, and where no thread can be started, the caller does it all.

    Parameters
    ----------
    task : callable
        Called with each index once; worth threads only if it releases the GIL for most of its time.
    count : int
        How many tasks.

    Returns
    -------
    list
        The results in the order of the indices.

    Raises
    ------
    BaseException
        What a task raised, of the lowest index if several did. Tasks not begun by then are left out.

    Examples
    --------
    >>> run(lambda index: index * index, 4)
    [0, 1, 4, 9]
    """
    threads = min(get_num_threads(), count)
    if threads < 2 or getattr(_thread, "is_helper", False):
        return [task(index) for index in range(count)]
    share = _Share(task, count)
    helpers = _submit(share.work, threads - 1)
    share.work()
    for helper in helpers:
        if not helper.cancel():
            helper.result()
    return share.collect()


class _Share(Generic[T]):
    """The tasks of one call of `run`, taken by any number of threads."""

    def __init__(self, task: Callable[[int], T], count: int) -> None:
        self.task = task
        self.count = count
        self.indices = itertools.count()  # `next` on it is atomic: one bytecode, in C
        self.results: dict[int, T] = {}
        self.failures: list[tuple[int, BaseException]] = []

    def work(self) -> None:
        """Do tasks until none is left or one has failed."""
        index = -1
        try:
            # Failures are looked at before an index is taken: one that is taken is always done, so that
            # the failure of the lowest index is always among those found.
            while not self.failures and (index := next(self.indices)) < self.count:
                self.results[index] = self.task(index)
        except BaseException as error:  # KeyboardInterrupt too: the helpers must be waited for first
            self.failures.append((index, error))

    def collect(self) -> list[T]:
        """Return the results in order, or raise the first failure."""
        if self.failures:
            first = min(self.failures, key=lambda failure: failure[0])[1]
            try:
                raise first
            finally:
                del first  # with the traceback it would hold itself alive,
                self.failures.clear()  # and the arrays of the frames with it
        return [self.results[index] for index in range(self.count)]


def _submit(work: Callable[[], None], helpers: int) -> list[Future[None]]:
    """Ask `helpers` threads to `work`; fewer, or none, where they cannot be had."""
    futures: list[Future[None]] = []
    with _pool_lock:  # so that nobody retires the pool between two lines
        pool = _get_pool(helpers)
        try:
            for _ in range(helpers):
                futures.append(pool.submit(work))
        except RuntimeError:  # the interpreter shuts down, or no further thread can be started
            # The refused work may sit in the queue all the same; empty it, and wait for what was taken.
            _drop_pool()
            pool.shutdown(wait=True, cancel_futures=True)
    return futures


def _get_pool(size: int) -> ThreadPoolExecutor:
    """Return the pool, made anew if it has fewer than `size` threads."""
    global _pool, _pool_size
    if _pool is None or _pool_size < size:
        if _pool is not None:
            _pool.shutdown(wait=False)
        _pool = ThreadPoolExecutor(size, thread_name_prefix="nalr-helper", initializer=_become_helper)
        _pool_size = size
    return _pool


def _drop_pool() -> None:
    global _pool, _pool_size
    _pool, _pool_size = None, 0


def _become_helper() -> None:
    _thread.is_helper = True


def _start_anew_in_child() -> None:
    """Forget the parent's pool, whose threads a fork does not copy, and whatever lock they held."""
    global _pool_lock, _thread, _default
    _drop_pool()
    _pool_lock = threading.Lock()
    _thread = threading.local()
    _default = None  # a worker may pin itself to other CPUs


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_anew_in_child)
