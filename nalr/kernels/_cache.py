"""What makes Numba's cache on disk safe for many processes, for upgrades and for broken disks.

One process compiles, the others load
    Numba reads, compiles and saves without a lock, so processes that start at once can leave each other's
    code under a wrong signature (numba#4807, #10128). We hold one lock for all of it. It saves time too.
Data files are named by content
    Numba numbers its data files, and writes the index before them: a process killed in between, or a disk
    full, leaves an index that names another version's code. We name a file after the hash of all that its
    code depends on, and write it first.
Every kernel depends on all kernels
    Numba sees that a kernel's own file changed, not that of a kernel it calls. Ours are stamped with all
    files of the package `nalr.kernels`, so that an upgrade never runs parts of the old version.
A cache that fails ends no call
    Whatever fails to be read or saved is compiled in memory, with one warning.

The classes of Numba that this builds on are its own, not public. Were they changed, kernels would be
compiled in memory, with that one warning.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba.core.caching
import numba.core.dispatcher
from numba.core.compiler_lock import global_compiler_lock

from nalr._checks import CacheWarning
from nalr.kernels._lock import NAME, PATIENCE, DirectoryLock

caching: Any = numba.core.caching  # typed in some versions, in part
Dispatcher: Any = numba.core.dispatcher.Dispatcher

_lock = DirectoryLock()
_warned = False

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_lock.forget)


def protect(kernel: Any) -> None:
    """Make the cache of `kernel` safe, if it has one: a function with the JIT off has none."""
    if not isinstance(kernel, Dispatcher) or kernel.stats.cache_path is None:
        return
    kernel._cache = _SafeCache(kernel._cache)
    kernel.compile = _one_at_a_time(kernel, kernel.compile)


def is_kept(kernel: Any) -> bool:
    """Return whether this version of `kernel` is in its cache."""
    cache = kernel._cache
    return isinstance(cache, _SafeCache) and cache.holds_any()


def warn_once(problem: str, remedy: str) -> None:
    """Warn that kernels are not cached, once: one cause affects every kernel."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"{problem}, so every process compiles them anew. {remedy}", CacheWarning, stacklevel=3)


def _one_at_a_time(kernel: Any, compile_now: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return `compile_now`, the method of `kernel`, under the lock of its cache."""

    @functools.wraps(compile_now)
    def compile_alone(signature: Any) -> Any:
        directory = kernel.stats.cache_path
        if directory is None:
            return compile_now(signature)
        # Numba's lock first, always: in the other order two threads could wait for each other.
        with global_compiler_lock, _lock.held(directory) as in_time:
            return compile_now(signature) if in_time else _without_cache(kernel, compile_now, signature)

    return compile_alone


def _without_cache(kernel: Any, compile_now: Callable[[Any], Any], signature: Any) -> Any:
    path = os.path.join(kernel.stats.cache_path, NAME)
    cache, kernel._cache = kernel._cache, caching.NullCache()
    try:
        warn_once(
            f"nalr waited {PATIENCE:g} s for another process to release {path!r} and went on without the "
            "compiled kernels kept there",
            "End that process, or set NUMBA_CACHE_DIR to another directory.",
        )
        return compile_now(signature)
    finally:
        kernel._cache = cache


class _SafeCache:
    """A cache that a failure switches off, with a warning.

    It wraps the cache, not the compilation, so that compiler errors are still raised.
    """

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._directory = cache.cache_path
        cache._cache_file = _NamedFile(
            cache.cache_path, cache._impl.filename_base, (cache._impl.locator.get_source_stamp(), stamp())
        )

    @property
    def cache_path(self) -> str | None:
        """The directory, or None once the cache is switched off."""
        return self._cache.cache_path  # type: ignore[no-any-return]

    def holds_any(self) -> bool:
        """Return whether some specialisation is in the index; False if it cannot be read."""
        try:
            return bool(self._cache._cache_file._load_index())
        except Exception:
            return False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled kernel for the signature, or None if there is none that can be read."""
        try:
            return self._cache.load_overload(sig, target_context)
        except Exception as error:  # a broken pickle may raise anything
            self._switch_off("read", error, "Delete that directory; kernels are then kept there again.")

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Save a compiled kernel if it can be saved."""
        try:
            self._cache.save_overload(sig, cres)
        except Exception as error:
            remedy = "Free some space there, or set NUMBA_CACHE_DIR to a directory that can be written."
            self._switch_off("save", error, remedy)

    def _switch_off(self, what: str, error: Exception, remedy: str) -> None:
        self._cache = caching.NullCache()
        reason = f"{type(error).__name__}: {error}"
        warn_once(f"nalr could not {what} compiled kernels in {self._directory!r} ({reason})", remedy)

    def enable(self) -> None:
        """Use the cache."""
        self._cache.enable()

    def disable(self) -> None:
        """Stop using the cache."""
        self._cache.disable()

    def flush(self) -> None:
        """Empty the index."""
        self._cache.flush()


class _NamedFile(caching.IndexDataCacheFile):  # type: ignore[misc]
    """Numba's index and data files, the data named by content and written first."""

    def __init__(self, directory: str, base: str, source_stamp: Any) -> None:
        super().__init__(directory, base, source_stamp)
        self._base = base

    def save(self, key: Any, data: Any) -> None:
        """Save `data`, then the index that names it."""
        content = repr((self._version, self._source_stamp, key))
        name = f"{self._base}.{hashlib.sha256(content.encode()).hexdigest()[:16]}.nbc"
        self._save_data(name, data)
        overloads = {**self._load_index(), key: name}
        self._save_index(overloads)
        self._remove_all_but(set(overloads.values()))

    def _remove_all_but(self, names: set[str]) -> None:
        """Remove data that no index names: of older versions, or of processes that were killed.

        A process of an older version then compiles again: Numba treats a missing file as not cached.
        """
        for file in Path(self._cache_path).glob(glob.escape(self._base) + ".*.nbc"):
            if file.name not in names:
                with contextlib.suppress(OSError):  # Windows keeps what is open
                    file.unlink()


@functools.cache
def stamp() -> str:
    """Return a hash of every file of `nalr.kernels`; of none if the package is in an archive."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
