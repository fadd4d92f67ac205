from __future__ import annotations

import numpy as np
import pytest

from nalr.policies.noise_adaptive.anneal import Anneal, AnnealSettings
from nalr.policies.noise_adaptive.displacement import DisplacementSignal
from tests.policies.noise_adaptive.cases import view


def annealed(total, steps, slow, floor=1.0, power=3.0):
    """Return the anneal after these steps with this slow gain and noise floor."""
    anneal = Anneal(AnnealSettings(anneal_power=power, anneal_slow=2.0, anneal_floors=0.0), total)
    for step in range(steps):
        displacement = DisplacementSignal(mean_before=slow)
        anneal.advance(view(step=step, floor=floor, displacement=displacement))
    return anneal


@pytest.mark.parametrize(("slow", "power"), [(-1.0, 3.0), (0.0, 3.0), (2.0, 1.5), (4.0, 1.0)])
def test_anneal_is_a_power_of_the_time_left_and_a_slow_gain_slows_it(slow, power):
    total = 1000
    for steps in (100, 500, 800):
        expected = (1.0 - steps / total) ** power
        # 1 − p/r for (1 − 1/r)ᵖ: in the logarithm, p(p − 1)/2r² a step
        error = 0.5 * power * (power - 1.0) * (1.0 / (total - steps) - 1.0 / total)
        assert annealed(total, steps, slow).share == pytest.approx(expected, rel=1.1 * error + 1e-9)


def test_anneal_waits_while_there_is_something_left_to_descend():
    assert annealed(1000, 800, slow=1000.0).share > 0.98
    assert annealed(1000, 800, slow=0.0, floor=0.0).share == 1.0  # without noise there is none to fight


def test_anneal_ends_in_a_straight_line_and_never_at_zero():
    waiting = annealed(1000, 999, slow=1e9)
    shares = [waiting.at(step) for step in (0, 899, 950, 999, 1000, 5000)]
    np.testing.assert_allclose(shares, [1.0, 1.0, 0.5, 0.01, 0.005, 0.005], rtol=1e-5)
    fallen = annealed(1000, 2000, slow=0.0)
    assert 0.0 < fallen.at(2000) < 1e-9
