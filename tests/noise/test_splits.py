from __future__ import annotations

import numpy as np
import pytest

from nalr import NoiseEstimator
from tests.tolerances import rounding


@pytest.mark.parametrize("split", [1, 7, 50, 99])
def test_merge_equals_single_pass(rng, split):
    gradients = 1e8 + rng.normal(size=(100, 3))
    whole = NoiseEstimator().update(gradients)
    parts = NoiseEstimator().update(gradients[:split]).merge(NoiseEstimator().update(gradients[split:]))
    tolerance = rounding(gradients)
    assert parts.reading().total_variance == pytest.approx(whole.reading().total_variance, rel=tolerance)


def test_rows_accumulated_one_by_one_equal_the_batch(rng):
    batch, stream = NoiseEstimator(), NoiseEstimator()
    for _ in range(20):
        rows = rng.normal(size=(6, 5))
        batch.update(rows)
        for row in rows[:4]:
            stream.accumulate(row)
        stream.update(rows[4:])
    a, b = batch.reading(), stream.reading()
    assert b.total_variance == pytest.approx(a.total_variance, rel=1e-12)
    assert b.signal == pytest.approx(a.signal, rel=1e-9, abs=1e-12)
    assert b.count == a.count == 20


def test_groups_and_coordinates_follow_rows_of_any_split(rng):
    settings = {"groups": {"a": slice(0, 2)}, "per_coordinate": True}
    batch, stream, parts = (NoiseEstimator(**settings) for _ in range(3))
    rows = rng.normal(size=(9, 4))
    batch.update(rows)
    for row in rows:
        stream.accumulate(row)
    stream.update()
    parts.merge(NoiseEstimator(**settings).update(rows[:4])).merge(
        NoiseEstimator(**settings).update(rows[4:])
    )
    for other in (stream, parts):
        assert other.reading().groups["a"].total_variance == pytest.approx(
            batch.reading().groups["a"].total_variance, rel=1e-12
        )
        np.testing.assert_allclose(other.mean, rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(other.variance, rows.var(axis=0, ddof=1), rtol=1e-12)


def test_merging_workers_pools_their_earlier_steps(rng):
    a, b, whole = NoiseEstimator(decay=0.9), NoiseEstimator(decay=0.9), NoiseEstimator(decay=0.9)
    for _ in range(30):
        rows = rng.normal(size=(8, 5))
        a.update(rows[:4])
        b.update(rows[4:])
        whole.update(rows)
    assert a.merge(b).reading().total_variance == pytest.approx(whole.reading().total_variance, rel=0.05)
