from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.policies.noise_adaptive.displacement import DisplacementSettings, DisplacementSignal
from tests.tolerances import standard_errors


def displacement(products, window):
    signal = DisplacementSignal()
    for product in products:
        signal.add(product, window)
    return signal


def test_clamping_the_displacement_signal_before_averaging_biases_noise_upwards():
    rng = np.random.default_rng(2)
    floor = 0.05
    read = {"growth": 0.0, "shrink": 0.0, "most": 2.0}
    ours, clamped = [], []
    for _ in range(100):
        products = rng.normal(size=200)
        ours.append(displacement(products, 50.0).mean)
        biased = displacement(np.maximum(products, -read["most"] * floor), 50.0)
        clamped.append(biased.read(floor, **read))
    assert abs(np.mean(ours)) < standard_errors(ours)
    assert np.mean(clamped) > 3.0  # certain, from nothing but noise


def test_the_displacement_signal_holds_between_the_floor_for_growth_and_that_for_shrinking():
    error = 0.5 * math.sqrt(0.1 / 1.9)  # of terms that are all of size one half, over ten steps
    for sign, floor, expected in (
        (1.0, 0.0, 0.5),
        (1.0, 0.1, 0.5 + 0.13),
        (-1.0, 0.0, -0.0),  # at most two floors below zero: none without noise
        (-1.0, 0.1, -0.2 + 0.17),
        (-1.0, 0.25, -0.5 + 1.7 * 0.25),
        (-1.0, 0.3, 0.0),  # between 1.3 and 1.7 floors
        (-1.0, 0.38, 0.0),
        (-1.0, 0.4, -0.5 + 1.3 * 0.4),
    ):
        signal = displacement([sign * 0.5] * 60, 10.0)
        assert signal.error == pytest.approx(error, rel=1e-4)
        assert signal.read(floor, 1.3, 1.7, 2.0) == pytest.approx(expected / signal.error, abs=1e-6), floor


@pytest.mark.parametrize("window", [10.0, 40.0])
def test_the_displacement_error_is_that_of_independent_terms(window):
    rng = np.random.default_rng(11)
    ends = [displacement(0.3 * rng.normal(size=200), window) for _ in range(400)]
    told = np.array([signal.error for signal in ends])
    found = np.std([signal.mean for signal in ends])
    assert np.sqrt(np.mean(told**2)) == pytest.approx(found, rel=4.0 / math.sqrt(2 * len(ends)))


def test_the_displacement_error_holds_for_a_window_that_grows_with_the_run():
    rng = np.random.default_rng(12)
    ends = []
    for _ in range(400):
        signal = DisplacementSignal()
        for step, product in enumerate(rng.normal(size=300)):
            signal.add(product, max(10.0, 0.125 * step))
        ends.append(signal)
    told = np.sqrt(np.mean([signal.error**2 for signal in ends]))
    found = np.std([signal.mean for signal in ends])
    assert told == pytest.approx(found, rel=4.0 / math.sqrt(2 * len(ends)) + 0.04)


def test_the_displacement_error_is_honest_from_the_first_steps():
    rng = np.random.default_rng(13)
    ends = [displacement(rng.normal(size=8), 10.0) for _ in range(2000)]
    told = np.sqrt(np.mean([signal.error**2 for signal in ends]))
    assert told == pytest.approx(np.std([signal.mean for signal in ends]), rel=0.1)


def test_the_quick_signal_tells_of_a_change_that_the_long_one_drowns():
    rng = np.random.default_rng(14)
    before = rng.normal(size=800)
    signal = displacement([*before, *(3.0 + rng.normal(size=15))], 100.0)
    assert signal.quick > 3.0
    assert signal.read(0.0, 0.0, 0.0, 1e9) < signal.quick
    signal.keep_recent()
    assert (signal.mean, signal.square) == (signal.quick_mean, signal.quick_square)
    signal.add(3.0, 10.0)
    assert signal.mean == pytest.approx(signal.quick_mean)  # ten steps remembered, by both
    assert signal.read(0.0, 0.0, 0.0, 1e9) > 3.0
    signal.begin_stretch(0)
    assert signal == DisplacementSignal()


def test_the_quick_signal_says_nothing_of_its_first_twenty_steps():
    assert displacement([5.0] * 20, 10.0).quick is None
    assert displacement([5.0] * 21, 10.0).quick > 4.0


def test_a_product_that_is_not_known_leaves_the_averages_alone():
    signal = displacement([1.0, 2.0, 3.0], 10.0)
    mean = signal.mean
    signal.add(math.nan, 10.0)
    assert signal.mean == mean and math.isfinite(signal.error)


def update(signal, product, seen, rose):
    signal.update(DisplacementSettings(), product, seen, rose=rose, floor=0.0, growth=0.0, shrink=0.0)


@pytest.mark.parametrize("rose", [True, False])
def test_a_new_stretch_begins_where_the_signal_jumped_and_the_loss_rose_as_well(rose):
    rng = np.random.default_rng(15)
    signal = DisplacementSignal()
    for step in range(420):
        jumped = step >= 400
        update(signal, rng.normal() + 3.0 * jumped, step, rose and jumped)
    assert (signal.began > 300) == rose


def test_nothing_is_known_before_the_first_path():
    signal = DisplacementSignal()
    update(signal, math.nan, 0, False)
    assert signal.deviation is None and signal.signal == 0.0
