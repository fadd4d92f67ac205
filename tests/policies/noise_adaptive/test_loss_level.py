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
