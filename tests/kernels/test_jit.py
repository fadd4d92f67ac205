from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from nalr import CacheWarning, NalrWarning, NoiseWarning
from nalr.kernels import _cache, _jit, _lock
from tests.helpers import run_python


def total(array):
    result = 0.0
    for value in array:
        result += value
    return result


@pytest.fixture
def no_cache(monkeypatch):
    """Let numba refuse to cache, as it does where no directory can be written."""
    compile_for_real = _jit.numba.njit

    def refusing(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'total': no locator available for file 'x.py'")
        return compile_for_real(function, **options)

    monkeypatch.setattr(_jit.numba, "njit", refusing)
    monkeypatch.setattr(_jit, "_cache_works", True)
    monkeypatch.setattr(_cache, "_warned", False)


def test_without_a_writable_cache_kernels_compile_in_memory_with_one_warning(no_cache, recwarn):
    compiled = [_jit.jit(total), _jit.reassociating(total)]
    assert [w.category for w in recwarn.list] == [CacheWarning]
    assert "Set NUMBA_CACHE_DIR to a directory that can be written" in str(recwarn.list[0].message)
    assert [kernel(np.arange(4.0)) for kernel in compiled] == [6.0, 6.0]


def test_other_errors_of_the_compiler_are_passed_on(monkeypatch):
    def broken(function, **options):
        raise RuntimeError("something else")

    monkeypatch.setattr(_jit.numba, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        _jit.jit(total)


@pytest.mark.parametrize("kernel", [_jit.jit(total), _jit.reassociating(total)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_stay_visible_in_sums(kernel, bad):
    assert not np.isfinite(kernel(np.array([1.0, bad, 2.0])))


def test_every_warning_of_the_package_can_be_filtered_by_one_class():
    assert issubclass(NoiseWarning, NalrWarning)
    assert issubclass(CacheWarning, NalrWarning)


def test_kernels_share_their_threads_with_python():
    assert _jit.jit(total).targetoptions["nogil"] and _jit.reassociating(total).targetoptions["nogil"]


# -- the cache: each test has a directory of its own ----------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory."""
    monkeypatch.setattr(_jit.numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_jit, "_cache_works", True)
    monkeypatch.setattr(_cache, "_warned", False)
    monkeypatch.setattr(_cache, "_lock", _lock.DirectoryLock())
    return tmp_path


def values(dtype=float):
    return np.arange(4, dtype=dtype)


def hits_and_misses(kernel):
    return sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


def test_a_kernel_is_compiled_once_and_then_loaded(cache):
    first, second = _jit.jit(total), _jit.jit(total)
    assert first(values()) == second(values()) == 6.0
    assert (hits_and_misses(first), hits_and_misses(second)) == ((0, 1), (1, 0))
    assert _cache.is_kept(second)


def test_kernels_that_call_kernels_are_kept_too(cache):
    inner = _jit.jit(total)

    def twice(array):
        return 2.0 * inner(array)

    assert _jit.jit(twice)(values()) == 12.0
    assert _cache.is_kept(inner)


def test_a_change_of_any_kernel_makes_all_be_compiled_anew(cache, monkeypatch):
    assert _jit.jit(total)(values()) == 6.0
    monkeypatch.setattr(_cache, "stamp", lambda: "of other files")
    changed = _jit.jit(total)
    assert not _cache.is_kept(changed)
    assert (changed(values()), hits_and_misses(changed)) == (6.0, (0, 1))


@pytest.mark.slow
def test_code_of_older_versions_is_removed_and_no_other(cache, monkeypatch):
    for kernel in (_jit.jit(total), _jit.jit(tripled)):
        kernel(values()), kernel(values(np.float32))
    monkeypatch.setattr(_cache, "stamp", lambda: "of the upgrade")
    _jit.jit(total)(values())
    kept = sorted(file.name.split("-")[0] for file in cache.rglob("*.nbc"))
    assert kept == ["test_jit.total", "test_jit.tripled", "test_jit.tripled"]


def killed(*_):
    raise KeyboardInterrupt


def tripled(array):
    return 3.0 * array.sum()


@pytest.mark.parametrize("step", ["_save_data", "_save_index"])
def test_a_process_killed_while_saving_leaves_no_other_versions_code_under_its_name(cache, monkeypatch, step):
    """Numba writes the index first: it would then name the file of the old version, and run that."""
    source = tripled.__code__
    assert _jit.jit(tripled)(values()) == 18.0
    changed = source.replace(co_consts=tuple(4.0 if c == 3.0 else c for c in source.co_consts))
    monkeypatch.setattr(tripled, "__code__", changed)  # an upgrade: same name, same line
    monkeypatch.setattr(_cache, "stamp", lambda: "of the upgrade")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_cache._NamedFile, step, killed)
        _jit.jit(tripled)(values())
    assert _jit.jit(tripled)(values()) == 24.0


@pytest.mark.parametrize("step", ["_save_data", "_save_index"])
def test_a_full_disk_is_one_warning_and_no_error(cache, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_cache._NamedFile, step, full)
    kernels = [_jit.jit(total), _jit.reassociating(total)]
    with pytest.warns(CacheWarning, match="could not save .* No space left .* Free some space") as caught:
        answers = [kernel(values(dtype)) for kernel in kernels for dtype in (np.float32, float)]
    assert (answers, len(caught)) == ([6.0] * 4, 1)
    assert kernels[0].stats.cache_path is None  # switched off


def test_a_directory_that_has_vanished_is_made_again(cache):
    kernel = _jit.jit(total)
    shutil.rmtree(kernel.stats.cache_path)
    assert kernel(values()) == 6.0
    assert _cache.is_kept(kernel)


def test_a_directory_that_became_a_file_is_one_warning_and_no_error(cache):
    kernel = _jit.jit(total)
    shutil.rmtree(kernel.stats.cache_path)
    Path(kernel.stats.cache_path).touch()
    with pytest.warns(CacheWarning, match="so every process compiles them anew"):
        assert kernel(values()) == 6.0


def test_an_error_of_the_compiler_is_not_taken_for_one_of_the_cache(cache):
    kernel = _jit.jit(total)
    with pytest.raises(numba.core.errors.TypingError):
        kernel("text")
    assert kernel.stats.cache_path is not None


# -- the lock -------------------------------------------------------------------------------------------


@pytest.fixture
def taken(cache):
    """The lock of the cache, in other hands: another opening of the file counts as another process."""
    file = _lock._open(str(Path(_jit.jit(total).stats.cache_path) / _lock.NAME))
    _lock._take(file)
    yield
    os.close(file)


def test_a_lock_that_is_never_released_is_one_warning_and_no_error(taken):
    _cache._lock._patience = 0.1
    kernels = [_jit.jit(total), _jit.reassociating(total)]
    with pytest.warns(CacheWarning, match=r"waited 60 s .*nalr-kernels\.lock.* End that process") as caught:
        answers = [kernel(values()) for kernel in kernels]
    assert (answers, len(caught)) == ([6.0, 6.0], 1)
    assert not _cache.is_kept(kernels[0])


def test_a_lock_is_waited_for(cache):
    kernel = _jit.jit(total)
    file = _lock._open(str(Path(kernel.stats.cache_path) / _lock.NAME))
    _lock._take(file)
    timer = threading.Timer(0.2, _lock._release, [file])
    timer.start()
    assert kernel(values()) == 6.0
    assert timer.finished.is_set() and _cache.is_kept(kernel)
    os.close(file)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_process_leaves_no_lock(cache):
    code = (
        "import os, signal, sys\nfrom nalr.kernels import _lock\n"
        f"with _lock.DirectoryLock().held({str(cache)!r}):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run_python("-c", code).returncode == -9
    lock = _lock.DirectoryLock()
    lock._patience = 0.0
    with lock.held(str(cache)) as in_time:
        assert in_time


def test_where_the_file_system_has_no_locks_kernels_are_kept_without(cache, monkeypatch):
    def none(_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_lock, "_take", none)
    kernel = _jit.jit(total)
    assert kernel(values()) == 6.0
    assert _cache.is_kept(kernel)
