from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nalr import NoiseEstimator
from nalr.inputs import as_rows
from nalr.jackknife import within_step_covariance
from nalr.pairs import squared_covariance_trace
from nalr.rows import RowAccumulator
from tests.tolerances import standard_errors


def plain_jackknife(rows):
    """Return the delete-one jackknife's variance of |G|², written as it is defined."""
    k = len(rows)
    left_out = []
    for i in range(k):
        rest = np.delete(rows, i, axis=0)
        left_out.append((rest.mean(axis=0) ** 2).sum() - rest.var(axis=0, ddof=1).sum() / (k - 1))
    return (k - 1) ** 2 / k * np.var(left_out, ddof=1)


def of_step(rows, weights=None):
    checked, accumulator = as_rows("rows", rows), RowAccumulator()
    accumulator.add_rows(checked, weights)
    return within_step_covariance(checked, accumulator, weights)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_squared_covariance_trace_equals_the_sums_over_different_rows(rng, kind, order):
    rows = np.asarray(rng.normal(size=(6, 9)) + 3.0, dtype=kind, order=order)
    exact = rows.astype(float)
    gram = exact @ exact.T
    pairs = np.mean([gram[i, j] ** 2 for i, j in itertools.permutations(range(6), 2)])
    triples = np.mean([gram[i, j] * gram[j, m] for i, j, m in itertools.permutations(range(6), 3)])
    fours = np.mean([gram[i, j] * gram[m, n] for i, j, m, n in itertools.permutations(range(6), 4)])
    found = squared_covariance_trace(as_rows("rows", rows))
    assert found == pytest.approx(pairs - 2.0 * triples + fours, rel=1e-9)


def test_squared_covariance_trace_is_unbiased_where_the_plug_in_is_not(rng):
    variances = np.array([4.0, 2.0, 1.0, 0.5, 0.5, 0.5])
    found, plug_in = [], []
    for _ in range(4000):
        rows = 5.0 + np.sqrt(variances) * (rng.exponential(size=(8, 6)) - 1.0)
        found.append(squared_covariance_trace(as_rows("rows", rows)))
        plug_in.append((np.cov(rows.T) ** 2).sum())
    truth = float((variances**2).sum())
    assert abs(np.mean(found) - truth) < standard_errors(found, 3.0)
    assert np.mean(plug_in) - truth > standard_errors(plug_in, 10.0)


def test_squared_covariance_trace_reads_many_columns_in_windows(rng):
    rows = rng.normal(size=(5, 20_001))
    whole = squared_covariance_trace(as_rows("rows", rows))
    layers = [rows[:, :7].copy(), rows[:, 7:9000].copy(), rows[:, 9000:].copy()]
    assert squared_covariance_trace(as_rows("rows", layers)) == pytest.approx(whole, rel=1e-9)


def test_without_signal_the_plain_jackknife_is_twice_too_wide_and_ours_is_not(rng):
    variances, found, plain, signals = [], [], [], []
    for _ in range(2000):
        rows = rng.normal(size=(16, 200))
        variance = of_step(rows)[0]
        variances.append(variance)
        plain.append(plain_jackknife(rows))
        signals.append((rows.mean(axis=0) ** 2).sum() - rows.var(axis=0, ddof=1).sum() / 16)
    truth = np.var(signals, ddof=1)
    assert np.mean(plain) == pytest.approx(2.14 * truth, rel=0.1)  # 2 (k − 1)/(k − 2)
    assert np.mean(variances) == pytest.approx(truth, rel=0.2)
    found = np.mean(np.abs(signals) < 2.131 * np.sqrt(variances))
    assert 0.93 < found < 0.98 < np.mean(np.abs(signals) < 2.131 * np.sqrt(plain))


def test_with_signal_alone_the_jackknife_stands(rng):
    rows = 10.0 + 0.001 * rng.normal(size=(8, 50))
    assert of_step(rows)[0] == pytest.approx(plain_jackknife(rows), rel=1e-4)


def test_unequal_weights_keep_the_plain_jackknife(rng):
    rows = rng.normal(size=(8, 50))
    even, uneven = of_step(rows)[0], of_step(rows, [1.0] * 7 + [1.0 + 1e-9])[0]
    assert uneven == pytest.approx(plain_jackknife(rows), rel=1e-6)
    assert even < 0.9 * uneven


def test_a_large_part_of_the_population_leaves_less_to_chance(rng):
    data = 0.5 + rng.normal(size=(40, 30))
    truth = data.var(axis=0, ddof=1).sum()
    widths = []
    for population in (None, 40):
        reading = NoiseEstimator(population=population).update(data[:30]).reading()
        low, high = reading.total_variance_interval
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] * math.sqrt(1.0 - 30 / 40), rel=1e-9)
    low, high = NoiseEstimator(population=40).update(data).reading().total_variance_interval
    assert low == pytest.approx(truth) and high == pytest.approx(truth)
