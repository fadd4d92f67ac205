"""A lock that processes hold on a directory of compiled kernels while they load, compile and save."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "nalr-kernels.lock"
PATIENCE = 60.0
"""Seconds to wait for other processes; several times what compiling every kernel takes."""
PAUSE = 0.02
"""Seconds between two attempts: polling bounds the wait, a blocking lock would not."""

_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}

if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _release(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # `flock`, not `lockf`: the latter's locks end when any descriptor of the file is closed, and are not
    # copied to children. Both end with the process, so that nothing is left behind by one that was killed.
    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(file: int) -> None:
        # Explicit: a child forked meanwhile shares the lock, and closing our descriptor would not release it.
        fcntl.flock(file, fcntl.LOCK_UN)


class DirectoryLock:
    """The lock of one process; reentrant, since kernels compile the kernels they call.

    Requires Numba's compiler lock, so one thread at a time.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._depth = 0
        self._in_time = True
        self._patience = PATIENCE

    @contextmanager
    def held(self, directory: str) -> Iterator[bool]:
        """Hold the lock of `directory`; yield False if others did not release it in time.

        Also yields True where locks are not supported, as on some network file systems: the cache is then
        used without.
        """
        if self._depth:  # all kernels of one compilation lie in one directory
            yield self._in_time
            return
        self._file = _open(os.path.join(directory, NAME))
        try:
            self._in_time = self._file is None or self._wait(self._file)
            self._depth = 1
            yield self._in_time
        finally:
            if self._file is not None:
                _release_quietly(self._file)
            self.forget()

    def forget(self) -> None:
        """Close the file without unlocking it, as a forked child must: the lock is its parent's."""
        self._depth = 0
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _wait(self, file: int) -> bool:
        """Wait for the lock on `file`; return False after the time limit, which is then 0."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                _take(file)
                return True
            except OSError as error:
                if error.errno not in _BUSY:  # locks are not supported
                    return True
            if time.monotonic() >= deadline:
                self._patience = 0.0  # do not wait a minute for each kernel
                return False
            time.sleep(PAUSE)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None


def _release_quietly(file: int) -> None:
    try:
        _release(file)
    except OSError:  # it was never taken
        pass
