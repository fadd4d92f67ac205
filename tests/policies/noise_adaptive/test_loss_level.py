from __future__ import annotations

import numpy as np
import pytest

from nalr.policies.noise_adaptive.loss_level import LossLevel


def test_the_loss_level_counts_a_rise_only_as_far_as_the_steps_did_it():
    level = LossLevel()
    for _ in range(50):
        level.update(1.0, 0.0)
    for _ in range(20):
        level.update(3.0, 0.0)  # the data changed; the gradients know of no rise
    assert level.value - level.best > 1.5
    assert level.attributed - level.attributed_best == 0.0


def test_the_loss_noise_survives_one_spike():
    rng = np.random.default_rng(4)
    level = LossLevel()
    for step in range(400):
        level.update(5.0 + 0.1 * rng.normal() + (1000.0 if step == 300 else 0.0), 0.0)
    assert level.noise == pytest.approx(0.1, rel=0.8)


def descended(loss=2.0, steps=100):
    """Return the level of a run that came from 10 to `loss`, as its gradients say, and rests there."""
    level = LossLevel()
    level.update(10.0, 0.0)
    level.update(loss, loss - 10.0)
    for _ in range(steps):
        level.update(loss, 0.0)
    return level


def test_what_gradients_promised_is_kept_where_the_loss_shows_nothing():
    level = LossLevel()
    for _ in range(200):
        level.update(0.0, -0.5)
    assert level.fall == 0.0
    # Σ = −.5 a step, and a moving average of decay .9 lags nine steps behind it.
    assert level.promised == pytest.approx(0.5 * (200 - 9), abs=0.5)
    for _ in range(200):
        level.update(0.0, 0.5)
    assert level.promised > 0.5 * (200 - 9 - 3)  # the largest: a rise takes nothing away


def test_a_level_that_moves_measures_rises_from_the_present_loss_and_keeps_what_was_gained():
    level = descended()
    for _ in range(3):
        level.update(102.0, 0.0)
    level.above = 3
    assert level.ran_away(102.0, 3.0, 10.0)
    level.move()
    assert (level.value, level.best, level.above) == (102.0, 102.0, 0)
    assert level.first == pytest.approx(10.0)  # nothing is gained by the present loss: 10 to 102 is no fall
    assert level.fall == 0.0
    # A guard that asks for a rise finds none at the same loss, and again none below it.
    level.update(102.0, 0.0)
    assert level.value - level.best == 0.0
    assert not level.ran_away(102.0, 3.0, 10.0)


def test_a_level_that_moves_below_the_first_loss_keeps_the_fall_from_it():
    level = descended()
    level.update(6.0, 4.0)
    level.move()
    assert level.first - level.best == level.fall == pytest.approx(10.0 - 6.0)
    assert level.attributed == level.account == pytest.approx(-8.0 + 4.0)


def test_the_account_explains_a_rise_only_as_far_as_it_shows_it():
    level = descended()
    level.update(12.0, 5.0)  # by ten, of which the steps did five
    assert level.explains(12.0, 0.49)
    assert not level.explains(12.0, 0.51)
    assert level.explains(2.0, 1.0)  # no rise at all, and the steps went up


def test_a_rise_is_not_explained_by_steps_that_went_down_or_nowhere():
    level = descended()
    level.update(1.0, -1.0)
    assert not level.explains(1.0, 0.3)
    assert not level.explains(100.0, 0.3)
