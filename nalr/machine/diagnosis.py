"""The findings of `nalr doctor`, as a record and as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A problem and its remedy."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Cache:
    """The directory of compiled kernels.

    Attributes
    ----------
    directory : str or None
        None if no directory can be written, or nothing is compiled.
    writable : bool
        Whether a file can be created there.
    num_files, num_bytes : int
        Of the compiled kernels, including those of older versions.
    kept, kernels : int
        Cached kernels of this version, of how many. Kernels that only others call need not be cached.
    """

    directory: str | None
    writable: bool
    num_files: int
    num_bytes: int
    kept: int
    kernels: int


@dataclass(frozen=True)
class Diagnosis:
    """The findings of `diagnose`.

    Attributes
    ----------
    versions : dict
        Version of each program and library; None where it is not installed.
    cpu : str
        Name of the processor.
    num_cpus : int
        CPUs that this process may use.
    cpu_quota : float or None
        CPU time per time that the control group allows; None without a limit.
    num_threads : int
        Threads that kernels use.
    threads_reason : str
        The variable or limit that determined it.
    threading_layer : str
        The implementation of threads.
    environment : dict
        Variables that affect numerical code.
    cache : Cache
        The directory of compiled kernels.
    bandwidth : dict
        GB/s read from memory, by number of threads; empty where it could not be measured.
    problems : list of Problem
        With remedies; empty if there are none.
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

    def text(self) -> str:
        """Return the facts, a line each, and the problems last."""
        facts = list(_facts(self))
        width = max(len(name) for name, _ in facts)
        lines = [f"{name:<{width}}  {value}" for name, value in facts]
        if not self.problems:
            return "\n".join([*lines, "", "No problems found."])
        number = len(self.problems)
        lines += ["", f"{number} problem{'s' if number > 1 else ''}:"]
        for problem in self.problems:
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
