"""Problems of an environment, each with a remedy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from nalr.arrays import threads
from nalr.machine.diagnosis import Diagnosis, Problem

OLDEST = {"NumPy": (1, 24), "Numba": (0, 60)}
"""As in pyproject.toml; Numba checks the upper end of NumPy when imported."""


def problems_of(found: Diagnosis) -> Iterator[Problem]:
    """Yield each problem of versions, cache and threads with its remedy."""
    yield from _version_problems(found.versions)
    yield from _cache_problems(found)
    yield from _thread_problems(found)


def _version_problems(versions: dict[str, str | None]) -> Iterator[Problem]:
    for name, oldest in OLDEST.items():
        version = versions[name]
        wanted = ".".join(map(str, oldest))
        if version is None or _numbers(version) < oldest:
            have = "is not installed" if version is None else f"{version} is too old"
            yield Problem(f"{name} {have}.", f'pip install "{name.lower()}>={wanted}"')


def _numbers(version: str) -> tuple[int, ...]:
    """Return major and minor number."""
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:2])


def _cache_problems(found: Diagnosis) -> Iterator[Problem]:
    cache, wish = found.cache, found.environment.get("NUMBA_CACHE_DIR")
    if found.environment.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        yield Problem(
            "NUMBA_DISABLE_JIT is set: kernels run as plain Python, hundreds of times slower.", "Unset it."
        )
    elif cache.kernels and cache.directory is None:
        yield Problem(
            "No directory can be written for compiled kernels, so every process compiles them again.",
            "Set NUMBA_CACHE_DIR to a directory that can be written.",
        )
    elif cache.directory is not None and not cache.writable:
        yield Problem(
            f"{cache.directory} cannot be written (or its disk is full), so kernels are not cached.",
            "Free some space, or set NUMBA_CACHE_DIR to a directory that can be written.",
        )
    elif wish and cache.directory and not Path(cache.directory).is_relative_to(wish):
        yield Problem(
            f"NUMBA_CACHE_DIR={wish} cannot be written; kernels are cached in {cache.directory}.",
            "Set it to a directory that can be written, or unset it.",
        )


def _thread_problems(found: Diagnosis) -> Iterator[Problem]:
    cpus = found.num_cpus
    if found.cpu_quota is not None and found.cpu_quota < cpus:
        cpus = max(1, math.ceil(found.cpu_quota))
        if found.num_threads > cpus:
            yield Problem(
                f"The container is limited to the time of {found.cpu_quota:g} CPUs, fewer than the "
                f"{found.num_threads} threads, which are then throttled together.",
                f"Set {threads.OWN_VARIABLE}={cpus}.",
            )
    if found.num_threads == 1 < cpus:
        yield Problem(
            f"Kernels use 1 thread of {cpus} CPUs, because of {found.threads_reason}.",
            f"Set {threads.OWN_VARIABLE}={cpus}, unless that is intended.",
        )
    if found.num_threads > found.num_cpus:
        yield Problem(
            f"{found.num_threads} threads for {found.num_cpus} CPUs, because of {found.threads_reason}.",
            f"Set {threads.OWN_VARIABLE}={found.num_cpus}.",
        )
    one, all_threads = found.bandwidth.get(1), found.bandwidth.get(found.num_threads)
    if one and all_threads and all_threads < 0.9 * one:  # within a tenth they are equal
        yield Problem(
            f"{found.num_threads} threads read memory more slowly than one.",
            f"Other processes may be using the CPUs; if it persists, set {threads.OWN_VARIABLE}=1.",
        )
