from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nalr.statistics.averages import DecayedAverages
from nalr.statistics.intervals import fieller_interval, score_interval, student_t_quantile


@pytest.mark.parametrize("freedom", [1.0, 2.0, 2.5, 3.0, 4.3, 7.0, 15.0, 1e3, 1e13])
@pytest.mark.parametrize("probability", [0.5, 0.8, 0.95, 0.999])
def test_student_quantile_equals_scipy(freedom, probability):
    exact = stats.t.ppf(0.5 + 0.5 * probability, freedom)
    assert student_t_quantile(probability, freedom) == pytest.approx(exact, rel=2e-4)


def test_fieller_covers_a_ratio_where_the_delta_method_does_not(rng):
    # A denominator two standard errors from zero: the ratio's own distribution is far from Gaussian.
    truth, hits, delta_hits, n = 3.0, 0, 0, 4000
    for _ in range(n):
        numerator, denominator = rng.normal(6.0, 1.0), rng.normal(2.0, 1.0)
        low, high = fieller_interval(numerator, denominator, 1.0, 1.0, 0.0, 1.96)
        hits += low <= truth <= high
        ratio = numerator / denominator
        error = 1.96 * math.sqrt(1.0 + ratio**2) / abs(denominator)
        delta_hits += ratio - error <= truth <= ratio + error
    sampling = 4.0 * math.sqrt(0.05 * 0.95 / n)
    assert hits / n == pytest.approx(0.95, abs=sampling + 0.01)
    assert delta_hits / n < hits / n


def test_fieller_gives_only_a_lower_bound_where_the_denominator_may_be_zero():
    low, high = fieller_interval(10.0, 1.0, 0.01, 1.0, 0.0, 2.0)
    assert math.isinf(high)
    assert 2.0 < low < 10.0
    assert fieller_interval(0.1, 1.0, 1.0, 1.0, 0.0, 2.0) == (0.0, math.inf)
    assert fieller_interval(10.0, -5.0, 0.01, 0.01, 0.0, 2.0)[1] == math.inf


def test_score_interval_covers_a_count_where_plus_minus_t_does_not(rng):
    counts = rng.poisson(2.0, size=20_000)  # variance 0 + 1 · truth
    ends = [score_interval(float(count), 0.0, 1.0, 1.96) for count in counts]
    assert np.mean([low <= 2.0 <= high for low, high in ends]) == pytest.approx(0.95, abs=0.02)
    assert np.mean(np.abs(counts - 2.0) <= 1.96 * np.sqrt(counts)) < 0.9
    assert score_interval(-5.0, 1.0, 0.0, 2.0) == (0.0, 0.0)


def test_a_copy_of_averages_goes_its_own_way(rng):
    averages = DecayedAverages(0.9)
    for value in rng.normal(size=50):
        averages.add(float(value), 1.0)
    before, twin = averages.state_dict(), averages.copy()
    assert twin.state_dict() == before
    for _ in range(40):
        twin.add(3.0, 4.0)
    assert averages.state_dict() == before != twin.state_dict()


def test_averages_equal_weighted_means_at_every_length(rng):
    decay, pairs = 0.9, rng.normal(size=(300, 2))
    averages = DecayedAverages(decay)
    for count, (first, second) in enumerate(pairs, start=1):
        averages.add(first, second)
        weights = decay ** np.arange(count)[::-1]
        assert averages.first == pytest.approx(np.average(pairs[:count, 0], weights=weights), rel=1e-10)
        assert averages.second == pytest.approx(np.average(pairs[:count, 1], weights=weights), rel=1e-10)


def test_memory_of_the_blocks_is_bounded():
    averages = DecayedAverages(0.999)
    for value in range(20_000):
        averages.add(float(value), 0.0)
    assert len(averages.blocks.blocks) <= 33


def test_state_resumes_exactly(rng):
    whole, half = DecayedAverages(0.97), DecayedAverages(0.97)
    values = rng.normal(size=(200, 2))
    for pair in values:
        whole.add(*pair)
    for pair in values[:77]:
        half.add(*pair)
    resumed = DecayedAverages(0.97)
    resumed.load_state_dict(half.state_dict())
    for pair in values[77:]:
        resumed.add(*pair)
    assert resumed.state_dict() == whole.state_dict()
