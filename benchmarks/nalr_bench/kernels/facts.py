"""Memory beyond the input, start of a process, and how flat the cost per value is over D."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from nalr_bench.workload import OURS, Fact, Result

FLAT_FROM = 10**5
"""Parameters from which the cost of each should be constant; calls dominate below."""

MEMORY = """
import json, tracemalloc
import numpy as np
from nalr import Moments, NoiseAdaptiveLR
dimension = 10**6
gradients = np.random.default_rng(0).standard_normal((32, dimension), dtype=np.float32)
few = gradients[:, :64].copy()
for dtype in ("float64", "float32"):  # excludes what is allocated once
    warm = NoiseAdaptiveLR(0.1, path_dtype=dtype)
    [warm.get_adapted_lr(few, 1e9) for _ in range(3)]
found = {}
tracemalloc.start()
Moments.from_rows(gradients)
found["from_rows"] = tracemalloc.get_traced_memory()[1] / gradients.nbytes
for dtype in ("float64", "float32"):
    before = tracemalloc.get_traced_memory()[0]
    controller = NoiseAdaptiveLR(0.1, path_dtype=dtype)
    for _ in range(3):
        controller.get_adapted_lr(gradients, 1e9)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    controller.get_adapted_lr(gradients, 1e9)
    peak = tracemalloc.get_traced_memory()[1]
    found[dtype] = (held - before) / dimension, (peak - held) / dimension
    del controller
print(json.dumps(found))
"""
"""Run in a fresh process, without scratch arrays. NumPy reports to tracemalloc."""

IMPORT = """
import time
import numpy
began = time.perf_counter()
import nalr
between = time.perf_counter()
from nalr import LossSmoother, NoiseAdaptiveLR, NoiseEstimator
print(between - began, time.perf_counter() - began)
"""

FIRST_STEP = """
import numpy as np
from nalr import NoiseAdaptiveLR
rows = np.random.default_rng(0).standard_normal((16, 1000), dtype=np.float32)
NoiseAdaptiveLR(0.01).get_adapted_lr(rows, 1e9)
"""


def flatness(results: Sequence[Result]) -> list[Fact]:
    """Return the spread over D of the time per value, at the smallest B."""
    batches = [r.workload for r in results if r.workload.work == "moments"]
    most = max((work.threads for work in batches), default=0)
    chosen: dict[int, Result] = {}
    for result in results:
        work = result.workload
        if work.work == "moments" and work.threads == most and work.dimension >= FLAT_FROM:
            old = chosen.get(work.dimension)
            if old is None or old.workload.rows > work.rows:
                chosen[work.dimension] = result
    if len(chosen) < 2:
        return []
    costs = [r.seconds(OURS) / (r.workload.rows * r.workload.dimension) for r in chosen.values()]
    what = f"cost a value, largest ÷ smallest, D from {min(chosen):.0e} to {max(chosen):.0e}"
    return [Fact("batch", what, max(costs) / min(costs), "×", 1.3)]


def memory() -> list[Fact]:
    """Return the memory beyond the input, 32 rows of 10⁶ float32 values."""
    found = json.loads(_python(MEMORY))
    facts = [Fact("memory", "from_rows: peak ÷ input", 100.0 * found["from_rows"], "%", 1.0)]
    for dtype, num_bytes in (("float64", 8), ("float32", 4)):
        held, peak = found[dtype]
        limit = 3.0 * num_bytes  # three D-vectors
        facts += [
            Fact("memory", f"controller, {dtype} path: held", held, "B/parameter", 1.02 * limit),
            Fact("memory", f"controller, {dtype} path: more in a step", peak, "B/parameter", 0.5),
        ]
    return facts


def start(quick: bool) -> list[Fact]:
    """Return the times of imports, and of a first step with and without a cache."""
    repeats = 3 if quick else 7
    imports = [[1e3 * float(part) for part in _python(IMPORT).split()] for _ in range(repeats)]
    alone, classes = (statistics.median(times) for times in zip(*imports, strict=True))
    with tempfile.TemporaryDirectory() as directory:
        cold = _seconds(FIRST_STEP, directory)
        warm = statistics.median(_seconds(FIRST_STEP, directory) for _ in range(repeats))
    return [
        Fact("start", "import nalr, beyond NumPy", alone, "ms", 30.0),
        Fact("start", "import of the three classes as well", classes, "ms", 60.0),
        Fact("start", "first get_adapted_lr, empty cache, whole process", cold, "s", 5.0),
        Fact("start", "first get_adapted_lr, warm cache, whole process", warm, "s", 0.7),
    ]


def _seconds(script: str, cache: str) -> float:
    began = time.perf_counter()
    _python(script, NUMBA_CACHE_DIR=cache)
    return time.perf_counter() - began


def _python(script: str, **environment: str) -> str:
    """Return the output of a script in a fresh process."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
