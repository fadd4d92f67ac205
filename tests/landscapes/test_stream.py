"""The random stream resumes exactly; drifting surfaces move."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nalr.landscapes import create_noisy_landscape
from tests.landscapes.cases import every_noise


class TestStream:
    @every_noise
    def test_same_seed_same_stream(self, noise, settings):
        def run():
            landscape = create_noisy_landscape(2, seed=4, noise=noise, loss_noise=0.1, **settings)
            return [landscape.compute_loss_and_grad([1.0, 2.0], 3) for _ in range(3)]

        for (loss, gradient), (again, gradient_again) in zip(run(), run(), strict=True):
            assert loss == again
            np.testing.assert_array_equal(gradient, gradient_again)

    def test_different_seeds_differ(self):
        first, second = (create_noisy_landscape(seed=seed).sample([1.0, 2.0])[0] for seed in (0, 1))
        assert first != second

    def test_a_run_without_a_seed_can_be_repeated_from_its_repr(self):
        landscape = create_noisy_landscape(3, kind="quadratic", rotate=True, condition=10.0, noise="spikes")
        copy = eval(repr(landscape))
        np.testing.assert_array_equal(
            copy.sample_gradients(np.ones(3), 5), landscape.sample_gradients(np.ones(3), 5)
        )

    @pytest.mark.parametrize(
        "kind, settings", [("rugged", {}), ("drifting", {"jump_every": 2, "rotate": True})]
    )
    def test_resume_gives_the_same_bits(self, kind, settings):
        landscape = create_noisy_landscape(2, kind=kind, loss_noise=0.1, noise="student_t", **settings)
        for _ in range(5):
            landscape.sample([1.0, 2.0], 3)
        state = json.loads(json.dumps(landscape.state_dict()))
        resumed = create_noisy_landscape(2, kind=kind, loss_noise=0.1, noise="student_t", **settings)
        resumed.load_state_dict(state)
        assert repr(resumed) == repr(landscape)
        for _ in range(5):
            (loss, rows), (again, rows_again) = landscape.sample([1.0, 2.0], 3), resumed.sample([1.0, 2.0], 3)
            assert loss == again
            np.testing.assert_array_equal(rows, rows_again)
            np.testing.assert_array_equal(landscape.optimum, resumed.optimum)

    def test_reseed_is_a_fresh_start(self):
        landscape = create_noisy_landscape(2, kind="drifting", seed=8, jump_every=3)
        first = [landscape.compute_loss_and_grad([1.0, 2.0])[0] for _ in range(4)]
        landscape.reseed(8)
        assert [landscape.compute_loss_and_grad([1.0, 2.0])[0] for _ in range(4)] == first


class TestDrifting:
    @pytest.mark.parametrize("draw", ["sample", "compute_loss_and_grad", "sample_gradients"])
    def test_each_draw_moves_the_optimum_one_step(self, draw):
        landscape = create_noisy_landscape(2, kind="drifting", drift=[0.5, -1.0], seed=0)
        for step in range(4):
            np.testing.assert_allclose(landscape.optimum, [0.5 * step, -1.0 * step])
            np.testing.assert_allclose(landscape.gradient(landscape.optimum), 0.0)
            getattr(landscape, draw)([1.0, 1.0], 2)

    def test_looking_at_the_truth_does_not_move_it(self):
        landscape = create_noisy_landscape(2, kind="drifting", seed=0)
        (
            landscape.true_loss([1.0, 1.0]),
            landscape.gradient([1.0, 1.0]),
            landscape.smoothed_loss([1.0, 1.0], 1.0),
        )
        np.testing.assert_array_equal(landscape.optimum, [0.0, 0.0])

    def test_jumps_are_as_long_and_as_rare_as_stated(self):
        landscape = create_noisy_landscape(3, kind="drifting", drift=0.0, jump_every=4, jump_size=2.5, seed=0)
        path = []
        for _ in range(12):
            landscape.sample([0.0, 0.0, 0.0])
            path.append(landscape.optimum)
        steps = np.linalg.norm(np.diff([np.zeros(3), *path], axis=0), axis=1)
        np.testing.assert_allclose(steps, np.tile([0.0, 0.0, 0.0, 2.5], 3), atol=1e-12)
