"""``nalr doctor``: checks of the machine and the environment, with remedies."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import nalr
from nalr.arrays import threads
from nalr.machine.diagnosis import Cache, Diagnosis, Problem
from nalr.machine.problems import problems_of

PREFIXES = ("NALR_", "NUMBA_", "OMP_", "KMP_", "MKL_", "OPENBLAS_")
"""Prefixes of environment variables that affect numerical code."""

READ = 256 << 20
"""Bytes to read for the bandwidth: above the last-level cache of nearly every machine."""

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")

LAYER = "own threads over GIL-free kernels; Numba's layer is not used"


def diagnose() -> Diagnosis:
    """Check versions, threads, cache and memory.

    Takes about a second. Compiles one small kernel unless it is cached; changes nothing else.

    Returns
    -------
    Diagnosis
        The facts, and a remedy for each problem.
    """
    num_threads, reason, refused = _threads()
    kernels, broken = _kernels()
    cache = _cache(kernels)
    bandwidth = _bandwidth(num_threads) if kernels else {}
    found = Diagnosis(
        versions=_versions(),
        cpu=cpu_name(),
        num_cpus=threads.usable_cpus(),
        cpu_quota=_cpu_quota(),
        num_threads=num_threads,
        threads_reason=reason,
        threading_layer=LAYER,
        environment={k: v for k, v in sorted(os.environ.items()) if k.startswith(PREFIXES)},
        cache=cache,
        bandwidth=bandwidth,
        problems=[],
    )
    problems = [*refused, *broken, *problems_of(found)]
    return dataclasses.replace(found, problems=problems)


def _versions() -> dict[str, str | None]:
    libraries = ("NumPy", "Numba", "llvmlite", "Matplotlib", "torch")
    versions: dict[str, str | None] = {"nalr": nalr.__version__, "Python": platform.python_version()}
    for name in libraries:
        try:
            versions[name] = metadata.version(name.lower())  # from metadata: importing torch takes seconds
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def cpu_name() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cpu_quota() -> float | None:
    """Return the CPU time per time of version 2 control groups, None for no limit."""
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, "max", or something new
        return None


def _threads() -> tuple[int, str, list[Problem]]:
    """Return the number of threads, its reason, and a problem if a variable was refused."""
    try:
        return threads.get_num_threads(), threads.why_num_threads(), []
    except ValueError as error:
        remedy = f"Set {threads.OWN_VARIABLE} to a number of threads, or unset it."
        return 1, f"{threads.OWN_VARIABLE} is refused", [Problem(str(error), remedy)]


def _kernels() -> tuple[list[Any], list[Problem]]:
    """Return the kernels; none and a problem where Numba cannot be imported."""
    from nalr.machine.warmup import compiled_functions

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nalr.CacheWarning)  # reported as a problem
            return compiled_functions(), []
    except ImportError as error:  # Numba refuses a NumPy that it does not know
        remedy = "Install versions that fit: pip install --upgrade numba numpy."
        return [], [Problem(f"Numba cannot be loaded: {error}", remedy)]


def _cache(kernels: list[Any]) -> Cache:
    from nalr.machine.warmup import cache_directory

    directory = cache_directory(kernels)
    if directory is None:
        return Cache(None, False, 0, 0, 0, len(kernels))
    from nalr.kernels._cache import is_kept

    sizes = [file.stat().st_size for suffix in ("nbi", "nbc") for file in Path(directory).glob(f"*.{suffix}")]
    kept = sum(map(is_kept, kernels))
    return Cache(directory, _writable(directory), len(sizes), sum(sizes), kept, len(kernels))


def _writable(directory: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def _bandwidth(num_threads: int) -> dict[int, float]:
    from nalr.machine.bandwidth import read_bandwidth

    try:
        return {count: read_bandwidth(READ, count) for count in sorted({1, num_threads})}
    except (MemoryError, ValueError):  # too little memory, or threads that are refused
        return {}


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis, as JSON if `options.json`; return 1 if there are problems, else 0."""
    found = diagnose()
    print(json.dumps(found.to_dict(), indent=2) if options.json else found.text())
    return 1 if found.problems else 0
