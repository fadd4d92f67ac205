"""Processes as they really start: many at once, forked, spawned, at exit, and on disks that fail.

Each script runs in a process of its own, as it may die or hang there; one cache, filled once, serves all
that do not ask for an empty one.
"""

from __future__ import annotations

import compileall
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import nalr
from tests.helpers import HANG

pytestmark = pytest.mark.slow

ANSWER = """
import numpy as np
import nalr
nalr.set_num_threads(2)
rows = np.random.default_rng(0).normal(size=(8, 300_000)).astype(np.float32)
def answer():
    lr = nalr.NoiseAdaptiveLR(0.01).get_adapted_lr(rows, 1.0)
    return repr((lr, nalr.NoiseEstimator().estimate_noise(rows)))
"""
"""Large enough to be shared by two threads."""

MISSES = """
from nalr.machine.warmup import compiled_functions
print({k.__name__: sum(k.stats.cache_misses.values()) for k in compiled_functions() if k.stats.cache_misses})
"""

COMPILED = """
from nalr.machine.warmup import compiled_functions
kernels = compiled_functions()
print(sum(bool(kernel.signatures) for kernel in kernels), len(kernels))
"""


def start(script, cache, *, warnings="error", **variables):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "NALR_", "OMP_"))}
    environment |= {"NUMBA_CACHE_DIR": str(cache), **variables}
    return subprocess.Popen(
        [sys.executable, "-W", warnings, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process):
    """Return what the process printed on stdout and stderr, once it has ended well."""
    with process:  # closes its pipes, also where it hangs
        try:
            out, err = process.communicate(timeout=HANG)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, err
    return out.strip(), err


def output(script, cache, **options):
    return finish(start(script, cache, **options))[0]


class First(NamedTuple):
    """Eight processes that started at once on an empty cache, and what they leave."""

    cache: Path
    answers: list[str]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    cache = tmp_path_factory.mktemp("kernels")
    processes = [start(ANSWER + "print(answer())", cache) for _ in range(8)]
    return First(cache, [finish(process)[0] for process in processes])


def test_eight_processes_that_start_at_once_on_an_empty_cache_agree(first):
    assert len(set(first.answers)) == 1
    rows = np.random.default_rng(0).normal(size=(8, 300_000)).astype(np.float32)
    expected = np.sqrt(np.mean(np.var(rows, axis=0, ddof=1, dtype=np.float64)))
    assert float(first.answers[0].strip("()").split(",")[1]) == pytest.approx(expected, rel=1e-6)


def test_what_one_process_compiled_no_other_compiles_again(first):
    assert output(ANSWER + "answer()" + MISSES, first.cache) == "{}"


def test_a_first_call_compiles_only_what_it_uses(first, tmp_path):
    lines = output(ANSWER + "print(answer())" + COMPILED, tmp_path).split("\n")
    assert lines[0] == first.answers[0]
    compiled, all_kernels = map(int, lines[1].split())
    assert 0 < compiled < all_kernels / 4


FORK = """
before = answer()
child = os.fork()
if child == 0:
    print(answer() == before, flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
print(status, answer() == before)
"""

MULTIPROCESSING = """
import multiprocessing
before = answer()
with multiprocessing.get_context("{method}").Pool(2) as pool:
    tasks = [pool.apply_async(nalr.NoiseEstimator().estimate_noise, (rows,)) for _ in range(4)]
    print({{task.get({hang}) for task in tasks}} == {{nalr.NoiseEstimator().estimate_noise(rows)}})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_after_a_threaded_call_makes_one_too(first):
    result = output("import os" + ANSWER + FORK, first.cache, warnings="default")
    assert result.split("\n") == ["True", "0 True"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_multiprocessing_answer_after_a_threaded_call(first, method):
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    assert (
        output(ANSWER + MULTIPROCESSING.format(method=method, hang=HANG), first.cache, warnings="default")
        == "True"
    )


THREADS = """
import threading
expected, found = answer(), []
threads = [threading.Thread(target=lambda: found.extend(answer() for _ in range(3))) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), set(found) == {expected})
"""


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
def test_six_threads_at_once_answer_with_any_threading_layer_of_numba(first, layer):
    assert output(ANSWER + THREADS, first.cache, NUMBA_THREADING_LAYER=layer) == "18 True"


def test_six_threads_may_all_come_first(first, tmp_path):
    script = ANSWER + THREADS.replace("answer(), []", f"{first.answers[0]!r}, []", 1)
    assert output(script, first.cache) == "18 True"


LOADER = """
import torch
from torch.utils.data import DataLoader, Dataset
class Noise(Dataset):
    def __len__(self): return 4
    def __getitem__(self, index):
        nalr.set_num_threads(None)
        return nalr.get_num_threads(), nalr.NoiseEstimator().estimate_noise(rows)
before = answer()
limits, noise = zip(*DataLoader(Noise(), batch_size=None, num_workers=2))
print(set(limits), set(map(float, noise)) == {nalr.NoiseEstimator().estimate_noise(rows)})
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_workers_of_a_data_loader_answer_on_the_one_thread_that_torch_leaves_them(first):
    assert output(ANSWER + LOADER, first.cache, warnings="default") == "{1} True"


def test_a_call_at_exit_answers(first):
    script = "import atexit" + ANSWER + "answer()\natexit.register(lambda: print(answer()))"
    assert output(script, first.cache) == first.answers[0]


# -- disks that fail ----------------------------------------------------------------------------------

SMOOTH = "import nalr; print(nalr.LossSmoother(alpha=0.5).smooth([4.0, 2.0, 2.0]))"
SMOOTHED = "[4.  3.  2.5]"


@pytest.fixture(scope="module")
def smoothing(tmp_path_factory):
    """A cache with the few kernels of `SMOOTH`."""
    cache = tmp_path_factory.mktemp("smoothing")
    assert output(SMOOTH, cache) == SMOOTHED
    return cache


def test_without_a_directory_that_can_be_written_there_is_one_warning_and_an_answer(tmp_path):
    (tmp_path / "file").touch()
    # Below a file nobody can make a directory, not even root; and Numba is to try no other place.
    variables = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    out, err = finish(start(SMOOTH, tmp_path / "file" / "below", warnings="default", **variables))
    assert out == SMOOTHED
    assert err.count("CacheWarning") == 1
    assert "Set NUMBA_CACHE_DIR to a directory that can be written" in err


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x05nonsense", None], ids=["empty", "nonsense", "truncated"])
def test_broken_files_are_one_warning_and_an_answer(smoothing, tmp_path, suffix, content):
    cache = shutil.copytree(smoothing, tmp_path / "cache")
    files = list(cache.rglob(f"*.{suffix}"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is None else content)
    out, err = finish(start(SMOOTH, cache, warnings="default"))
    assert out == SMOOTHED
    assert err.count("CacheWarning") == 1 and "Delete that directory" in err


def test_without_the_compiler_kernels_run_as_python(tmp_path):
    out, err = finish(start(SMOOTH, tmp_path, NUMBA_DISABLE_JIT="1"))
    assert (out, err, list(tmp_path.iterdir())) == (SMOOTHED, "", [])


@pytest.mark.slow
def test_an_installation_without_sources_says_so(tmp_path):
    """Numba dates what it keeps by the source file, so that NUMBA_CACHE_DIR helps nothing."""
    package = tmp_path / "nalr"
    shutil.copytree(Path(nalr.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(package, quiet=1, legacy=True)
    for file in package.rglob("*.py"):
        file.unlink()
    script = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    script += (
        "import nalr\nprint(nalr.__file__)\nprint(nalr.Moments.from_rows([[1.0], [3.0]]).total_variance)"
    )
    process = start(script, tmp_path / "kernels", warnings="default")
    out, err = finish(process)
    assert out.split("\n") == [str(package / "__init__.pyc"), "2.0"]
    assert err.count("Warning: ") == 1
    assert (
        "CacheWarning: nalr is installed without its source files, by which compiled kernels are dated to be "
        "kept, so every process compiles them anew. Install it with its .py files."
    ) in err
