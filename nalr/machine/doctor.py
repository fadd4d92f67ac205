"""``nalr doctor``: what this machine and this environment mean for the kernels, and what to do about it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import nalr
from nalr.arrays import threads

OLDEST = {"NumPy": (1, 24), "Numba": (0, 60)}
"""What pyproject.toml asks for; NumPy's upper end depends on Numba, which checks it when imported."""

PREFIXES = ("NALR_", "NUMBA_", "OMP_", "KMP_", "MKL_", "OPENBLAS_")
"""Environment variables that bear on numerical code."""

READ = 256 << 20
"""Bytes to read for the bandwidth: above the last cache of nearly every machine, and a moment's work."""

CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")

LAYER = "own threads over GIL-free kernels; Numba's layer is not used"


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Cache:
    """The directory of compiled kernels.

    Attributes
    ----------
    directory : str or None
        None if none can be written, or nothing is compiled.
    writable : bool
        Whether a file could be made there just now.
    num_files, num_bytes : int
        What lies there, of older versions too.
    kept, kernels : int
        How many of the package's kernels this version finds there, of how many. Kernels that are only
        called by others need not be kept.
    """

    directory: str | None
    writable: bool
    num_files: int
    num_bytes: int
    kept: int
    kernels: int


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    Attributes
    ----------
    versions : dict
        Version of each program and library; None where it is not installed.
    cpu : str
        Name of the processor.
    num_cpus : int
        CPUs that this process may use.
    cpu_quota : float or None
        CPUs' worth of time that the control group grants; None without a limit.
    num_threads : int
        Threads that kernels use.
    threads_reason : str
        Which variable or limit decided that.
    threading_layer : str
        How threads are made.
    environment : dict
        Variables set that bear on numerical code.
    cache : Cache
        The directory of compiled kernels.
    bandwidth : dict
        GB/s read from memory, by number of threads; empty where it could not be measured.
    problems : list of Problem
        What is wrong; empty if all is well.
    """

    versions: dict[str, str | None]
    cpu: str
    num_cpus: int
    cpu_quota: float | None
    num_threads: int
    threads_reason: str
    threading_layer: str
    environment: dict[str, str]
    cache: Cache
    bandwidth: dict[int, float]
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dicts, lists, strings and numbers, as JSON has them."""
        record = dataclasses.asdict(self)
        record["bandwidth"] = {str(count): speed for count, speed in self.bandwidth.items()}
        return record


def diagnose() -> Diagnosis:
    """Look at versions, threads, cache and memory, and return what was found.

    Takes about a second. Compiles one small kernel unless it is kept already; changes nothing else.

    Returns
    -------
    Diagnosis
        With a remedy for each problem.
    """
    num_threads, reason, refused = _threads()
    kernels, broken = _kernels()
    cache = _cache(kernels)
    bandwidth = _bandwidth(num_threads) if kernels else {}
    found = Diagnosis(
        versions=_versions(),
        cpu=_cpu_name(),
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
    problems = [*refused, *broken, *_problems(found)]
    return dataclasses.replace(found, problems=problems)


# -- what is there ------------------------------------------------------------------------------------


def _versions() -> dict[str, str | None]:
    libraries = ("NumPy", "Numba", "llvmlite", "Matplotlib", "torch")
    versions: dict[str, str | None] = {"nalr": nalr.__version__, "Python": platform.python_version()}
    for name in libraries:
        try:
            versions[name] = metadata.version(name.lower())  # of the files: importing torch takes seconds
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cpu_quota() -> float | None:
    """Return the CPUs' worth of time that version 2 control groups grant, None for no limit."""
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, "max", or something new
        return None


def _threads() -> tuple[int, str, list[Problem]]:
    """Return how many threads kernels use, why, and whether the environment was refused."""
    try:
        return threads.get_num_threads(), threads.why_num_threads(), []
    except ValueError as error:
        remedy = f"Set {threads.OWN_VARIABLE} to a number of threads, or unset it."
        return 1, f"{threads.OWN_VARIABLE} is refused", [Problem(str(error), remedy)]


def _kernels() -> tuple[list[Any], list[Problem]]:
    """Return the kernels; none, and why, where Numba cannot be loaded."""
    from nalr.machine.warmup import compiled_functions

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nalr.CacheWarning)  # said below, with the rest
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


# -- what is wrong ------------------------------------------------------------------------------------


def _problems(found: Diagnosis) -> Iterator[Problem]:
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
            "No directory can be written for compiled kernels, so every process compiles them anew.",
            "Set NUMBA_CACHE_DIR to a directory that can be written.",
        )
    elif cache.directory is not None and not cache.writable:
        yield Problem(
            f"{cache.directory} cannot be written (or its disk is full), so kernels are not kept.",
            "Free some space, or set NUMBA_CACHE_DIR to a directory that can be written.",
        )
    elif wish and cache.directory and not Path(cache.directory).is_relative_to(wish):
        yield Problem(
            f"NUMBA_CACHE_DIR={wish} cannot be written; kernels are kept in {cache.directory}.",
            "Set it to a directory that can be written, or unset it.",
        )


def _thread_problems(found: Diagnosis) -> Iterator[Problem]:
    cpus = found.num_cpus
    if found.cpu_quota is not None and found.cpu_quota < cpus:
        cpus = max(1, math.ceil(found.cpu_quota))
        if found.num_threads > cpus:
            yield Problem(
                f"The container may use {found.cpu_quota:g} CPUs' worth of time, fewer than the "
                f"{found.num_threads} threads, which are then stopped together.",
                f"Set {threads.OWN_VARIABLE}={cpus}.",
            )
    if found.num_threads == 1 < cpus:
        yield Problem(
            f"Kernels use 1 thread of {cpus} CPUs, because of {found.threads_reason}.",
            f"Set {threads.OWN_VARIABLE}={cpus}, unless that is meant.",
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
            f"Others may be using the CPUs; if it stays so, set {threads.OWN_VARIABLE}=1.",
        )


# -- how it is told -----------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Print the diagnosis, as JSON if `options.json`; return 1 if there are problems, else 0."""
    found = diagnose()
    print(json.dumps(found.to_dict(), indent=2) if options.json else render(found))
    return 1 if found.problems else 0


def render(found: Diagnosis) -> str:
    """Return the diagnosis as text, a line for each fact, the problems last."""
    facts = list(_facts(found))
    width = max(len(name) for name, _ in facts)
    lines = [f"{name:<{width}}  {value}" for name, value in facts]
    if not found.problems:
        return "\n".join([*lines, "", "No problems found."])
    number = len(found.problems)
    lines += ["", f"{number} problem{'s' if number > 1 else ''}:"]
    for problem in found.problems:
        lines += [f"- {problem.what}", f"  {problem.remedy}"]
    return "\n".join(lines)


def _facts(found: Diagnosis) -> Iterator[tuple[str, str]]:
    for name, version in found.versions.items():
        yield name, version or "not installed"
    yield "CPU", found.cpu
    quota = "" if found.cpu_quota is None else f", time for {found.cpu_quota:g}"
    yield "CPUs usable", f"{found.num_cpus}{quota}"
    yield "threads", f"{found.num_threads}, from {found.threads_reason}"
    yield "threading", found.threading_layer
    for count, speed in found.bandwidth.items():
        yield "memory read", f"{speed:.1f} GB/s on {count} thread{'s' if count > 1 else ''}"
    cache = found.cache
    yield "cache", cache.directory or "none"
    if cache.directory is not None:
        yield (
            "cache state",
            (
                f"{'writable' if cache.writable else 'NOT writable'}, {cache.num_files} files, "
                f"{cache.num_bytes / 1e6:.1f} MB"
            ),
        )
        hint = "" if cache.kept else "; `nalr warmup` compiles them ahead of time"
        yield "kernels kept", f"{cache.kept} of {cache.kernels}{hint}"
    for name, value in found.environment.items():
        yield name, value
