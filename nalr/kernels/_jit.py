"""Every compiler option, and the caching rule, each with its reason.

``error_model="numpy"``
    A division by zero gives inf or nan, as in NumPy, and leaves a loop free of branches.
``nogil=True``
    Other Python threads run on while a kernel does.
no ``parallel``
    Threads are ours: see `nalr.arrays.threads`.
no ``fastmath``
    It folds ``isnan`` to False (numba#2919, #7701). `reassociating` allows only what a reduction needs to
    be vectorised, and keeps NaN and inf.
no signatures
    Importing a module of kernels compiles nothing; the first call does.
``cache=True``
    A process loads in milliseconds what another compiled in seconds. Numba raises at decoration where no
    directory can be written (numba#5566), as in many containers, and without source files; we compile in
    memory there. Other file errors are handled in `nalr.kernels._cache`.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any, TypeVar

import numba

from nalr.kernels import _cache

Function = TypeVar("Function", bound=Callable[..., Any])

_cache_works = True


def _compile(function: Function, **options: Any) -> Function:
    """Compile `function`, cached on disk where a directory can be written, else in memory."""
    global _cache_works
    if _cache_works:
        try:
            kernel = numba.njit(function, cache=True, **options)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            _cache_works = False
            _cache.warn_once(*_cause(function))
        else:
            _cache.protect(kernel)
            return kernel  # type: ignore[no-any-return]
    return numba.njit(function, **options)  # type: ignore[no-any-return]


def _cause(function: Callable[..., Any]) -> tuple[str, str]:
    """Return why Numba has no place for a kernel, and the remedy."""
    if linecache.getlines(function.__code__.co_filename, function.__globals__):
        return (
            "nalr found no writable directory for its compiled kernels",
            "Set NUMBA_CACHE_DIR to a directory that can be written.",
        )
    return (  # Numba dates what it keeps by the source
        "nalr is installed without its source files, by which compiled kernels are dated to be kept",
        "Install it with its .py files.",
    )


def jit(function: Function) -> Function:
    """Compile a kernel with strict IEEE arithmetic, in the order written."""
    return _compile(function, error_model="numpy", nogil=True)


def reassociating(function: Function) -> Function:
    """Compile a kernel whose sums may be taken in any order, so that they vectorise."""
    return _compile(function, error_model="numpy", nogil=True, fastmath={"reassoc", "nsz", "contract"})
