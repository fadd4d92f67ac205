from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.statistics.averages import DecayedAverages
from nalr.statistics.intervals import student_t_quantile
from nalr.statistics.long_run import _correlation, _waves, _weighted_sum, long_run_covariance


def autoregressive(rng, correlation, size, runs=1):
    """Return series of variance 1, (size, runs), whose neighbours correlate so."""
    noise = rng.normal(size=(size, runs))
    series = np.empty((size, runs))
    series[0] = noise[0]
    for t in range(1, size):
        series[t] = correlation * series[t - 1] + math.sqrt(1.0 - correlation**2) * noise[t]
    return series


def averaged(series, decay):
    averages = DecayedAverages(decay)
    for value in series.tolist():
        averages.add(value, 0.0)
    return averages


@pytest.mark.slow
@pytest.mark.parametrize(
    ("correlation", "decay", "steps"),
    [
        (0.0, 0.99, 10),
        (0.0, 0.99, 40),
        (0.0, 0.95, 300),
        (0.5, 0.99, 300),
        (0.9, 0.99, 800),
        (0.9, 0.999, 800),
    ],
)
def test_intervals_cover_on_correlated_steps_where_independent_ones_fail(rng, correlation, decay, steps):
    runs, hits, independent_hits = 1500, 0, 0
    series = autoregressive(rng, correlation, steps, runs)
    weights = decay ** np.arange(steps)[::-1]
    for column in series.T:
        averages = averaged(column, decay)
        v = averages.covariance()
        hits += abs(averages.first) <= student_t_quantile(0.95, v.degrees_of_freedom) * math.sqrt(v.first)
        iid = column.std(ddof=1) * math.sqrt((weights**2).sum()) / weights.sum()
        independent_hits += abs(averages.first) <= student_t_quantile(0.95, steps - 1.0) * iid
    sampling = 3.0 * math.sqrt(0.05 * 0.95 / runs)
    assert 0.93 - sampling <= hits / runs <= 0.97 + sampling
    if correlation == 0.9:
        assert independent_hits / runs < 0.5


def test_a_drifting_mean_costs_the_interval_little(rng):
    # |G|² falls to a half in 700 steps, with independent noise of a fiftieth.
    steps, decay = 2000, 0.99
    drift = np.exp(-np.arange(steps) / 1000.0)
    weights = decay ** np.arange(steps)[::-1]
    v = averaged(drift + 0.02 * rng.normal(size=steps), decay).covariance()
    plain = 0.02 * math.sqrt((weights**2).sum()) / weights.sum()
    assert plain * 0.4 < math.sqrt(v.first) < plain * 2.5


def test_covariance_of_the_pair_is_that_of_averages_over_many_runs(rng):
    runs, steps, decay = 400, 300, 0.98
    first, extra = autoregressive(rng, 0.6, steps, runs), autoregressive(rng, 0.6, steps, runs)
    second = 3.0 * first - 4.0 * extra
    found, ends = [], []
    for a, b in zip(first.T, second.T, strict=True):
        averages = DecayedAverages(decay)
        for pair in zip(a.tolist(), b.tolist(), strict=True):
            averages.add(*pair)
        v = averages.covariance()
        found.append((v.first, v.both, v.second))
        ends.append((averages.first, averages.second))
    true = np.cov(np.array(ends).T)
    expected = np.array([true[0, 0], true[0, 1], true[1, 1]])
    np.testing.assert_allclose(np.mean(found, axis=0), expected, rtol=4.0 * math.sqrt(2.0 / runs))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("r", [0.0, 0.3, 0.9, 0.97])
@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_weighted_sum_equals_the_double_sum(decay, r, count):
    i = np.arange(count)
    slow = (np.power(decay, i)[:, None] * np.power(decay, i) * np.power(r, abs(i[:, None] - i))).sum()
    assert _weighted_sum(decay, r, count) == pytest.approx(slow, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.9])
def test_correlation_of_neighbours_is_found_about_a_trend(rng, correlation):
    found = []
    for _ in range(40):
        series = autoregressive(rng, correlation, 2000)[:, 0] + 0.01 * np.arange(2000)
        blocks = averaged(series, 0.9999).blocks
        found.append(_correlation([b.first for b in blocks.complete()], blocks.length))
    assert np.mean(found) == pytest.approx(correlation, abs=0.02)


def test_waves_are_orthonormal_and_blind_to_a_trend():
    for count in (8, 17, 32):
        waves = _waves(count, 6)
        np.testing.assert_allclose(waves @ waves.T, np.eye(6), atol=1e-12)
        np.testing.assert_allclose(waves @ (3.0 + 0.5 * np.arange(count)), 0.0, atol=1e-12)


def test_equal_values_have_no_variance_and_too_few_none_at_all():
    averages = DecayedAverages(0.9)
    for _ in range(7):
        averages.add(2.0, 3.0)
    assert long_run_covariance(averages.blocks, 0.9, 7) is None
    averages.add(2.0, 3.0)
    v = averages.covariance()
    assert (v.first, v.second) == pytest.approx((0.0, 0.0), abs=1e-25)


def test_pooled_workers_have_the_variance_of_their_mean(rng):
    alone, pooled = [], []
    for _ in range(200):
        workers = [averaged(column, 0.99) for column in rng.normal(size=(100, 4)).T]
        alone.append(workers[0].covariance().first)
        for other in workers[1:]:
            workers[0].merge(other)
        pooled.append(workers[0].covariance().first)
    assert np.mean(pooled) == pytest.approx(np.mean(alone) / 4.0, rel=0.2)


def test_merging_into_an_empty_record_takes_the_other_over(rng):
    full, empty = averaged(rng.normal(size=50), 0.99), DecayedAverages(0.99)
    empty.merge(full)
    assert empty.covariance() == full.covariance()
    full.merge(DecayedAverages(0.99))
    assert empty.covariance() == full.covariance()
