"""The machine of a measurement: processor, versions, memory, installed rivals."""

from __future__ import annotations

import os
import platform
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import nalr
from nalr.arrays import threads
from nalr.machine.bandwidth import read_bandwidth
from nalr.machine.doctor import cpu_name

RIVALS = ("torch", "pandas", "scipy")
PACKAGES = ("numpy", "numba", *RIVALS)

READ = 256 << 20
"""Bytes to read for the bandwidth: above the last-level cache of nearly every machine."""

ASSUMED = 4 << 30
"""Bytes of memory assumed to be free where the system does not report it."""


def installed(name: str) -> ModuleType | None:
    """Return a module of a rival, an optional dependency, or None where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


def missing_rivals() -> list[str]:
    """Return the rivals that are not installed."""
    return [name for name in RIVALS if installed(name) is None]


def describe(num_threads: int) -> dict[str, Any]:
    """Return processor, threads, versions and memory bandwidth; sets the number of threads."""
    return {
        "cpu": cpu_name(),
        "threads": num_threads,
        "versions": {
            "nalr": nalr.__version__,
            "python": platform.python_version(),
            **{n: metadata.version(n) for n in PACKAGES if n not in RIVALS or installed(n) is not None},
        },
        "bandwidth": {str(count): _bandwidth(count) for count in sorted({1, num_threads})},
    }


def _bandwidth(count: int) -> float:
    threads.set_num_threads(count)
    return read_bandwidth(READ, count)


def available_memory() -> int:
    """Return how many bytes can be allocated without swapping, within the container's limit."""
    found = [_free()]
    limit = _lines("/sys/fs/cgroup/memory.max")
    used = _lines("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0].isdigit():
        found.append(max(int(limit[0]) - int(used[0]), 0))
    return min(found)


def _free() -> int:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # Windows, or a system without these names
        return ASSUMED


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
