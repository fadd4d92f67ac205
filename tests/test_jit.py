from __future__ import annotations

import numpy as np
import pytest

from nalr import CacheWarning, NalrWarning, NoiseWarning
from nalr.kernels import _cache, _jit


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
