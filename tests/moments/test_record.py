from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nalr import Moments
from nalr.arrays import passes
from nalr.arrays.gradients import as_rows, as_vector
from nalr.kernels import moments as kernels
from nalr.moments.rows import RowAccumulator
from tests.cases import batches
from tests.oracles import exact_moments, naive_sum_squares
from tests.tolerances import rounding

BATCHES = batches()


def accumulated(rows, weights=None):
    accumulator = RowAccumulator()
    accumulator.add_rows(as_rows("rows", rows), None if weights is None else np.asarray(weights))
    return accumulator


@pytest.mark.parametrize("name", BATCHES)
def test_batch_moments_equal_rational_arithmetic(name):
    rows = BATCHES[name]
    spread, norm = exact_moments(rows)
    moments = accumulated(rows).moments()
    tolerance = rounding(rows)
    assert moments.sum_squares == pytest.approx(spread, rel=tolerance, abs=0.0)
    assert moments.mean_squared_norm == pytest.approx(norm, rel=tolerance, abs=0.0)


def test_mean_of_squares_minus_squared_mean_loses_every_digit_where_ours_keeps_them():
    rows = BATCHES["offset 1e8"]
    spread, _ = exact_moments(rows)
    assert accumulated(rows).moments().sum_squares == pytest.approx(spread, rel=1e-6)
    assert abs(naive_sum_squares(rows) / spread - 1.0) > 0.01


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_any_split_of_the_rows_gives_the_same_moments(name, cut):
    rows = np.asarray(BATCHES[name], dtype=BATCHES[name].dtype.newbyteorder("="))
    whole = accumulated(rows).moments()
    parts = RowAccumulator()
    for row in rows[:cut]:
        parts.add(as_vector("row", row))
    if len(rows) > cut:
        other = accumulated(rows[cut:])
        parts.merge(other)
    tolerance = rounding(rows)
    assert parts.num_rows == whole.num_rows
    assert parts.moments().sum_squares == pytest.approx(whole.sum_squares, rel=tolerance, abs=0.0)
    exact = np.float32 if rows.dtype.itemsize <= 4 else float  # in which differences of rows are taken
    rounding_of_rows = 4.0 * np.finfo(exact).eps * np.abs(rows).max()
    np.testing.assert_allclose(parts.mean, accumulated(rows).mean, rtol=0.0, atol=rounding_of_rows)


def test_weights_equal_repeated_rows_in_the_mean_and_the_spread(rng):
    rows = rng.normal(size=(4, 5))
    weights = [1.0, 2.0, 3.0, 4.0]
    weighted = accumulated(rows, weights).moments()
    spread, norm = exact_moments(np.repeat(rows, [1, 2, 3, 4], axis=0))
    assert weighted.sum_squares == pytest.approx(spread, rel=1e-12)
    assert weighted.mean_squared_norm == pytest.approx(norm, rel=1e-12)
    assert weighted.total_weight == 10.0


def test_microbatches_of_unequal_size_estimate_the_variance_of_one_sample(rng):
    sizes = [1.0, 2.0, 5.0, 8.0]
    estimates = []
    for _ in range(2000):
        rows = np.array([rng.normal(size=(int(b), 10)).mean(axis=0) for b in sizes])
        estimates.append(accumulated(rows, sizes).moments().total_variance)
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(10.0, abs=4.0 * error)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
        elements=st.floats(-1e6, 1e6),
    ),
    st.floats(-1e3, 1e3),
)
def test_shifting_every_row_leaves_the_spread_and_moves_the_mean(rows, shift):
    before, after = accumulated(rows), accumulated(rows + shift)
    # Adding the shift rounds each entry to half a unit in the last place of the largest.
    size = np.abs(rows).max() + abs(shift)
    slack = 8.0 * np.finfo(float).eps * size * (size + 1.0) * rows.size
    assert after.sum_squares == pytest.approx(before.sum_squares, rel=1e-9, abs=slack)
    np.testing.assert_allclose(after.mean, before.mean + shift, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_make_the_step_unusable(bad, rng):
    rows = rng.normal(size=(4, 6))
    rows[1, 2] = rows[3, 0] = bad
    together = accumulated(rows).moments()
    one_by_one = RowAccumulator()
    for row in rows:
        one_by_one.add(as_vector("row", row))
    for moments in (together, one_by_one.moments()):
        assert moments.nonfinite == 2
        assert not moments.usable


def test_overflow_of_finite_values_is_unusable_but_not_counted():
    moments = accumulated(np.full((3, 2), 1e200) * [[1.0], [-1.0], [1.0]]).moments()
    assert moments.nonfinite == 0
    assert not moments.usable


def test_an_accumulator_reused_after_reset_forgets_the_rows(rng):
    accumulator = accumulated(rng.normal(size=(5, 3)))
    accumulator.reset()
    rows = rng.normal(size=(4, 3))
    accumulator.add_rows(as_rows("rows", rows))
    assert accumulator.moments() == accumulated(rows).moments()


def test_unbiased_estimates_over_many_draws(rng):
    signal, variance = 0.5, 20.0
    draws = [accumulated(0.5**0.5 / 20**0.5 + rng.normal(size=(4, 20))).moments() for _ in range(10_000)]
    for values, truth in (
        ([m.total_variance for m in draws], variance),
        ([m.signal for m in draws], signal),
    ):
        assert np.mean(values) == pytest.approx(truth, abs=3.0 * np.std(values) / 100.0)
    naive = np.mean([m.mean_squared_norm for m in draws])
    assert naive > 5.0 * signal  # |ḡ|² itself is mostly noise
    clamped = np.mean([max(m.signal, 0.0) for m in draws])
    assert clamped > 1.3 * signal  # clamping each step before averaging is biased upwards


def test_one_row_leaves_variance_and_signal_unknown():
    moments = accumulated(np.ones((1, 3))).moments()
    assert math.isnan(moments.total_variance)
    assert math.isnan(moments.signal)


def test_from_norms_equals_the_rows_themselves(rng):
    rows = rng.normal(size=(6, 4))
    weights = [1.0, 2.0, 1.0, 3.0, 1.0, 1.0]
    direct = accumulated(rows, weights).moments()
    made = Moments.from_norms((rows**2).sum(axis=1), direct.mean_squared_norm, 4, weights)
    assert made.sum_squares == pytest.approx(direct.sum_squares, rel=1e-12)
    assert made.total_variance == pytest.approx(direct.total_variance, rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"`weights` must hold one weight for each of the 2 rows, got 1\."),
        ([1.0, 0.0], r"`weights` must be positive and finite, got 0\.0\."),
        ([1.0, math.nan], r"`weights` must be positive and finite, got nan\."),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Moments.from_norms([1.0, 2.0], 1.0, 3, weights)
    with pytest.raises(ValueError, match=message):
        Moments.from_rows(np.ones((2, 3)), weights)


def test_scratch_holds_a_block_of_the_kernels():
    assert passes.WIDTH == kernels.BLOCK


def test_a_second_call_compiles_nothing(rng):
    rows = rng.normal(size=(4, 8))
    for few in (rows, rows.astype(np.float32)):
        accumulated(few)
        Moments.from_rows(few)
    compiled = len(kernels.batch_moments.signatures)
    for shape in ((9, 31), (2, 5000), (40, 3)):
        for dtype in (np.float32, np.float64):
            accumulated(rng.normal(size=shape).astype(dtype))
            Moments.from_rows(rng.normal(size=shape).astype(dtype))
    assert len(kernels.batch_moments.signatures) == compiled


@pytest.mark.slow
def test_compiled_and_interpreted_kernels_agree(rng, tmp_path):
    rows = 1e3 + rng.normal(size=(11, 13))
    np.save(tmp_path / "rows.npy", rows)
    script = (
        "import numpy as np\n"
        "from nalr import Moments, NoiseEstimator\n"
        f"rows = np.load({str(tmp_path / 'rows.npy')!r})\n"
        "single, half = rows.astype(np.float32), rows.astype(np.float16)\n"
        "kinds = [rows, rows[:5], rows[:3], single, half, rows.T.copy().T]\n"
        "records = [Moments.from_rows(kind) for kind in kinds]\n"
        "sums = [float(v) for m in records for v in (m.sum_squares, m.mean_squared_norm)]\n"
        "sums.append(float(Moments.from_rows(rows, range(1, 12)).sum_squares))\n"
        "print(repr([*sums, *NoiseEstimator().compute_variance(rows).tolist()]))"
    )
    outcomes = []
    for disabled in ("1", "0"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        result = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        outcomes.append([float(part) for part in result.stdout.strip().strip("[]").split(",")])
    interpreted, compiled = outcomes
    np.testing.assert_allclose(interpreted, compiled, rtol=rounding(rows.astype(np.float32)))
