"""Noise has the covariance and the distribution that it is said to have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.landscapes import create_noisy_landscape
from tests.landscapes.cases import additive_noise, central_difference, every_noise
from tests.tolerances import standard_errors


class TestNoise:
    COUNT = 400_000  # a variance to about 1 %
    POINT = np.array([2.0, -1.0, 0.5])

    def _landscape(self, noise, settings, scale=0.5):
        return create_noisy_landscape(
            3, scale, spectrum=[5.0, 2.0, 1.0], rotate=True, seed=11, noise=noise, **settings
        )

    @every_noise
    def test_rows_have_the_stated_mean(self, noise, settings):
        landscape = self._landscape(noise, settings)
        rows = landscape.sample_gradients(self.POINT, self.COUNT)
        for row, expected in zip(rows.T, landscape.gradient(self.POINT), strict=True):
            assert row.mean() == pytest.approx(expected, abs=standard_errors(row))

    @every_noise
    def test_rows_have_the_stated_covariance(self, noise, settings):
        landscape = self._landscape(noise, settings)
        noise_rows = landscape.sample_gradients(self.POINT, self.COUNT) - landscape.gradient(self.POINT)
        covariance = landscape.gradient_covariance(self.POINT)
        for i in range(3):
            for j in range(3):
                products = noise_rows[:, i] * noise_rows[:, j]
                assert products.mean() == pytest.approx(covariance[i, j], abs=standard_errors(products))

    @additive_noise
    def test_noise_scale_is_the_rms_standard_deviation(self, noise, settings):
        covariance = self._landscape(noise, settings, scale=0.7).gradient_covariance(self.POINT)
        assert math.sqrt(np.trace(covariance) / 3) == pytest.approx(0.7, rel=1e-14)

    def test_4096_rows_measure_the_noise_scale_within_a_tenth(self):
        rows = create_noisy_landscape(2, 0.5, seed=0).sample_gradients([3.0, 3.0], 4096)
        assert math.sqrt(rows.var(axis=0, ddof=1).mean()) == pytest.approx(0.5, rel=0.1)

    def test_hessian_covariance_is_proportional_to_the_hessian(self):
        landscape = self._landscape("gaussian", {"noise_covariance": "hessian"})
        hessian = np.array([landscape.hessian_vector(np.zeros(3), e) for e in np.eye(3)])
        covariance = landscape.gradient_covariance(self.POINT)
        np.testing.assert_allclose(covariance / covariance[0, 0], hessian / hessian[0, 0], rtol=1e-12)

    def test_heavy_tails_are_heavy(self):
        def kurtosis(noise):
            rows = create_noisy_landscape(1, 1.0, seed=5, noise=noise).sample_gradients([0.0], self.COUNT)
            return (rows**4).mean() / (rows**2).mean() ** 2

        assert kurtosis("gaussian") == pytest.approx(3.0, abs=0.3)
        assert kurtosis("student_t") > 5.0
        assert kurtosis("spikes") > 50.0

    def test_no_noise_gives_exact_rows(self):
        landscape = create_noisy_landscape(2, 0.0, kind="rugged", seed=0)
        rows = landscape.sample_gradients([1.0, 2.0], 3)
        np.testing.assert_array_equal(rows, np.tile(landscape.gradient([1.0, 2.0]), (3, 1)))

    @additive_noise
    @pytest.mark.parametrize("kind", ["quadratic", "drifting", "rugged"])
    def test_minibatch_loss_has_the_minibatch_gradient(self, noise, settings, kind):
        if kind == "rugged":  # only quadratics have the other covariance
            settings = {name: value for name, value in settings.items() if name != "noise_covariance"}
        landscape = create_noisy_landscape(3, 2.0, kind=kind, noise=noise, **settings)

        def reseeded_loss(x):
            landscape.reseed(99)
            return landscape.sample(x, batch_size=8)[0]

        slope = central_difference(reseeded_loss, self.POINT, 1e-5)
        landscape.reseed(99)
        loss, rows = landscape.sample(self.POINT, batch_size=8)
        np.testing.assert_allclose(slope, rows.mean(axis=0), rtol=1e-6, atol=1e-6)
        landscape.reseed(99)
        again, gradient = landscape.compute_loss_and_grad(self.POINT, batch_size=8)
        assert again == loss
        np.testing.assert_array_equal(gradient, rows.mean(axis=0))

    @every_noise
    def test_loss_and_rows_share_one_noise(self, noise, settings):
        """What the loss adds to the truth is the mean noise along x − x*, multiplicative noise included."""
        landscape = self._landscape(noise, settings)
        loss, rows = landscape.sample(self.POINT, batch_size=8)
        shared = (rows - landscape.gradient(self.POINT)).mean(axis=0) @ (self.POINT - landscape.optimum)
        assert loss - landscape.true_loss(self.POINT) == pytest.approx(shared, abs=1e-12)

    def test_loss_noise_has_the_stated_spread_and_leaves_the_rows_alone(self):
        quiet = create_noisy_landscape(2, 0.5, seed=0)
        loud = create_noisy_landscape(2, 0.5, seed=0, loss_noise=3.0)
        np.testing.assert_array_equal(quiet.sample([1.0, 1.0], 4)[1], loud.sample([1.0, 1.0], 4)[1])
        losses = np.array(
            [loud.sample([0.0, 0.0], 4)[0] for _ in range(4000)]
        )  # at the optimum: nothing else
        assert (losses**2).mean() == pytest.approx(9.0 / 4.0, abs=standard_errors(losses**2))
