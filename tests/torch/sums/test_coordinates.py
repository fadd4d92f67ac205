"""How many values are read of tensors of given sizes: what the page says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nalr.torch.sums.coordinates import Window, windows
from nalr.torch.sums.path import TensorPath


def values_read(size: int, window: Window) -> int:
    """Return how many of `size` values a path reads: each has a gradient of 1."""
    weight = nn.Parameter(torch.zeros(size))
    weight.grad = torch.ones(size)
    path = TensorPath([weight])
    assert path.windows == [window]
    assert path.advance(0.0).squared_norm == pytest.approx(size, rel=1e-12)  # the estimate
    return int(path._tracks[0].values[3].sum())


@pytest.mark.parametrize("size", [0, 1, 15, 4096, 32768, 40_000, 65_535, 65_536, 10**5, 2 * 10**6, 3 * 10**6])
def test_all_are_read_below_65_536_and_then_between_half_as_many_and_that(size):
    read = values_read(size, windows([size])[0])
    if size < 65_536:
        assert read == size
    elif size <= 64 * 32_768:
        assert 32_768 - 16 <= read < 65_536
    else:
        assert read == pytest.approx(size / 64, abs=16)


def test_coordinates_are_read_to_a_factor_of_two():
    rng = np.random.default_rng(0)
    for total in rng.integers(20_000, 10**7, 30):
        for asked in (500, 5000):
            taken = windows([int(total)], asked)[0].taken
            assert asked - 16 <= taken < max(2 * asked, 4097)
