from __future__ import annotations

import numpy as np
import pytest

from nalr.arrays import passes
from nalr.arrays.gradients import as_rows
from tests.tolerances import rounding

LONG = 3 * passes.CHUNK + 17  # values: four chunks, of which the last is short


def test_sums_over_a_long_vector_equal_numpy(rng):
    a, b = 1.0 + rng.normal(size=LONG), rng.normal(size=LONG)
    assert passes.squared_length(a) == pytest.approx(float(a @ a), rel=rounding(a, 100))
    assert passes.inner_product(a, b) == pytest.approx(float(a @ b), abs=1e-9)


def test_chunks_of_a_vector_cover_it_once():
    covered = np.concatenate(passes.over_vector(lambda here: np.arange(LONG)[here], LONG))
    np.testing.assert_array_equal(covered, np.arange(LONG))


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_each_chunk_gets_its_columns_of_the_rows_and_of_the_whole(rng, kind, order):
    first = np.asarray(rng.normal(size=(3, passes.CHUNK // 2)), dtype=kind, order=order)
    second = np.asarray(rng.normal(size=(3, 5)), dtype=kind, order=order)
    found = np.zeros(first.shape[1] + 5)

    def one(rows, low, high, here):
        found[here] = passes.kernels.moments.sum_squares(rows[0, low:high])
        assert high - low == here.stop - here.start

    passes.over_columns(one, as_rows("rows", [first, second]))
    assert (found[-5:] == found[-1]).all() and (found[:-5] != found[-1]).all()
    expected = float((second[0].astype(float) ** 2).sum())
    assert found[-1] == pytest.approx(expected, rel=1e-6)
