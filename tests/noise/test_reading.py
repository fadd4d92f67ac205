from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import NoiseEstimator
from nalr.noise.efficiency import batch_efficiency
from nalr.noise.reading import NoiseStatus
from tests.noise.helpers import settled


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 5, 40, 300])
def test_intervals_cover_the_truth(rng, steps):
    n, hits = 300, np.zeros(3)
    truth = (20.0, 1.8, 20.0 / 1.8)
    for _ in range(n):
        reading = settled(rng, steps=steps, rows=12, dimension=20, mean=0.3).reading()
        intervals = (
            reading.total_variance_interval,
            reading.signal_interval,
            reading.gradient_noise_scale_interval,
        )
        hits += [low <= value <= high for value, (low, high) in zip(truth, intervals, strict=True)]
    assert np.all(hits / n >= 0.95 - 4.0 * math.sqrt(0.05 * 0.95 / n) - 0.01), hits / n


def test_without_signal_the_noise_scale_is_a_lower_bound(rng):
    reading = settled(rng, mean=0.0).reading()
    assert reading.status is NoiseStatus.NO_SIGNAL
    assert math.isinf(reading.gradient_noise_scale_interval[1])
    assert reading.gradient_noise_scale == reading.gradient_noise_scale_interval[0] > 100.0


def test_efficiency_is_mccandlishs_trade_and_its_intervals_cover(rng):
    hits, runs = 0, 400
    for _ in range(runs):
        reading = settled(rng, steps=20, rows=8, dimension=20, mean=0.5).reading()  # noise scale 4
        half, fine = reading.efficiency(4.0), reading.efficiency(64)
        assert half.samples + half.steps == pytest.approx(1.0)
        low, high = half.samples_interval
        assert low <= half.samples <= high
        hits += low <= 0.5 <= high
        assert fine.steps > half.steps
    assert hits / runs == pytest.approx(0.95, abs=3.0 * math.sqrt(0.05 * 0.95 / runs) + 0.01)
    assert reading.efficiency().steps == pytest.approx(reading.signal_fraction)
    assert reading.efficiency().steps_interval == pytest.approx(reading.signal_fraction_interval)
    assert reading.batch_size == 8.0 and reading.confidence == 0.95


def test_efficiency_in_a_case_worked_by_hand():
    # 1000 samples a step at a noise scale of 250: a fifth of what a sample can, four fifths of a step.
    efficiency = batch_efficiency(1000.0, 250.0, (250.0, math.inf))
    assert (efficiency.samples, efficiency.steps) == (0.2, 0.8)
    assert efficiency.samples_interval == (0.2, 1.0)
    assert efficiency.steps_interval == (0.0, 0.8)
    assert str(efficiency).endswith("a step 80 % [0, 80]; even at 250 samples or more")
    assert str(batch_efficiency(1000.0, 250.0, (0.0, math.inf))).endswith("a step 80 %; even at 250 samples")


def test_efficiency_before_data_and_with_wrong_sizes(rng):
    empty = NoiseEstimator().reading()
    assert math.isnan(empty.efficiency(32).samples)
    assert str(empty.efficiency(32)) == "batch 32: nothing is known of the gradient noise scale yet"
    for call in (empty.efficiency, lambda: empty.efficiency(-1.0)):
        with pytest.raises(ValueError, match="`batch_size` must be positive and finite, got"):
            call()
    assert empty.signal_fraction_interval == (0.0, 1.0)
