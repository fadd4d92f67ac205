"""Gradients, curvature and smoothed values agree with differences and integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.landscapes import create_noisy_landscape
from tests.landscapes.cases import SURFACES, central_difference, every_surface
from tests.tolerances import standard_errors


def difference_error(function, x, step, curvature):
    """Bound on the error of `central_difference`: rounding of the values plus the third derivative's part."""
    magnitude = np.max(np.abs(function(x))) + 1.0
    return 100.0 * np.finfo(float).eps * magnitude / step + step**2 * curvature


def third_derivative(kind, settings, reach):
    """Generous bound on third and fourth derivatives within the box."""
    frequency, amplitude = settings.get("frequency", 10.0), settings.get("amplitude", 1.0)
    return {
        "quadratic": 1.0,
        "drifting": 1.0,
        "rugged": amplitude * frequency**4,
        "double_well": 6.0 * reach + 6.0,
        "rosenbrock": 100.0 * 24.0 * (1.0 + reach),
        "beale": 2e3 * reach**5,
        "rastrigin": 10.0 * (2 * math.pi) ** 4,
        "ackley": math.e * (2 * math.pi) ** 4 * 10.0,
        "griewank": 1.0,
    }[kind]


class TestSurfaces:
    @every_surface
    def test_gradient_equals_finite_difference_of_true_loss(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        step = 1e-4
        for x in rng.uniform(-reach, reach, size=(20, dim)):
            error = difference_error(landscape.true_loss, x, step, third_derivative(kind, settings, reach))
            slope = central_difference(landscape.true_loss, x, step)
            np.testing.assert_allclose(landscape.gradient(x), slope, rtol=1e-7, atol=error)

    @every_surface
    def test_hessian_vector_equals_finite_difference_of_gradient(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        step = 1e-5
        for x in rng.uniform(-reach, reach, size=(20, dim)):
            v = rng.normal(size=dim)
            error = difference_error(
                landscape.gradient, x, step, 10 * third_derivative(kind, settings, reach)
            )
            hessian = central_difference(landscape.gradient, x, step)
            scale = np.abs(v).sum()
            np.testing.assert_allclose(
                landscape.hessian_vector(x, v), v @ hessian, rtol=1e-7, atol=error * scale
            )

    @every_surface
    def test_hessian_is_symmetric(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        x = rng.uniform(-reach, reach, size=dim)
        hessian = np.array([landscape.hessian_vector(x, e) for e in np.eye(dim)])
        np.testing.assert_allclose(hessian, hessian.T, atol=1e-13 * np.abs(hessian).max())

    @every_surface
    def test_optimum_is_stationary_and_nothing_is_lower(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        optimum, lowest = landscape.optimum, landscape.optimal_loss
        np.testing.assert_allclose(landscape.gradient(optimum), 0.0, atol=1e-14)
        assert landscape.true_loss(optimum) == lowest
        slack = 1e-14 * (1.0 + abs(lowest))
        for spread in (1e-3, 0.1, reach):
            assert (
                landscape.true_loss(optimum + rng.normal(0.0, spread, size=(1000, dim))) >= lowest - slack
            ).all()

    @every_surface
    def test_true_loss_over_many_points_agrees_with_a_loop(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        points = rng.uniform(-reach, reach, size=(3, 4, dim))
        one_by_one = [[landscape.true_loss(x) for x in line] for line in points]
        np.testing.assert_allclose(landscape.true_loss(points), one_by_one, rtol=1e-13, atol=1e-13)
        smooth = [[landscape.smoothed_loss(x, 0.3) for x in line] for line in points]
        np.testing.assert_allclose(landscape.smoothed_loss(points, 0.3), smooth, rtol=1e-12, atol=1e-12)

    @every_surface
    def test_start_is_worse_than_the_optimum(self, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        assert landscape.start.shape == (dim,)
        assert landscape.true_loss(landscape.start) > landscape.optimal_loss

    @every_surface
    def test_a_point_run_off_to_infinity_gives_no_warning(self, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        for far in (1e200, np.inf):
            loss, gradient = landscape.compute_loss_and_grad(np.full(dim, far))
            assert isinstance(loss, float) and gradient.shape == (dim,)
            landscape.true_loss(np.full(dim, far))

    def test_rugged_has_local_minima_by_default_and_none_below_the_stated_amplitude(self):
        def minima(**settings):
            grid = np.linspace(-12.0, 12.0, 400_001)[:, None]
            loss = create_noisy_landscape(1, kind="rugged", **settings).true_loss(grid)
            return int(((loss[1:-1] < loss[:-2]) & (loss[1:-1] < loss[2:])).sum())

        assert minima() == 33  # 32 besides the global one, as documented
        assert minima(amplitude=0.0461) == 3
        assert minima(amplitude=0.0460) == 1

    def test_double_well_has_both_wells_and_starts_by_the_wrong_one(self):
        landscape = create_noisy_landscape(1, kind="double_well")
        grid = np.linspace(-2.0, 2.0, 100_001)[:, None]
        loss = landscape.true_loss(grid)
        wells = grid[1:-1][(loss[1:-1] < loss[:-2]) & (loss[1:-1] < loss[2:])].ravel()
        assert wells.size == 2 and landscape.start[0] > wells[1]
        assert landscape.optimum[0] == pytest.approx(wells[0], abs=1e-4)

    def test_ackley_gradient_is_zero_at_the_origin(self):
        landscape = create_noisy_landscape(3, kind="ackley")
        np.testing.assert_array_equal(landscape.gradient(np.zeros(3)), np.zeros(3))
        assert np.isfinite(landscape.hessian_vector(np.zeros(3), np.ones(3))).all()
        assert landscape.optimal_loss == 0.0

    def test_beale_hessian_holds_where_a_power_of_y_vanishes(self):
        landscape = create_noisy_landscape(2, kind="beale")
        x = np.array([2.0, 0.0])
        hessian = central_difference(landscape.gradient, x, 1e-5)
        np.testing.assert_allclose(landscape.hessian_vector(x, [1.0, 2.0]), [1.0, 2.0] @ hessian, rtol=1e-7)

    def test_rastrigin_is_its_textbook_formula(self, rng):
        x = rng.uniform(-5.0, 5.0, size=(50, 3))
        textbook = 30.0 + (x**2 - 10.0 * np.cos(2.0 * np.pi * x)).sum(axis=-1)
        landscape = create_noisy_landscape(3, kind="rastrigin")
        np.testing.assert_allclose(landscape.true_loss(x), textbook, rtol=1e-12, atol=1e-12)

    def test_condition_is_the_ratio_of_extreme_curvatures(self):
        landscape = create_noisy_landscape(4, condition=1000.0)
        curvatures = landscape.hessian_vector(np.zeros(4), np.ones(4))
        np.testing.assert_allclose(curvatures, [1.0, 0.1, 0.01, 0.001], rtol=1e-12)

    def test_rotation_keeps_the_spectrum_and_turns_the_axes(self):
        spectrum = np.array([5.0, 2.0, 1.0])
        landscape = create_noisy_landscape(3, spectrum=spectrum, rotate=True, seed=3)
        hessian = np.array([landscape.hessian_vector(np.zeros(3), e) for e in np.eye(3)])
        np.testing.assert_allclose(np.linalg.eigvalsh(hessian)[::-1], spectrum, rtol=1e-12)
        assert np.abs(hessian - np.diag(np.diag(hessian))).max() > 0.1


def panels(low, high, number=100):
    """Nodes and weights of the 20-point Gauss-Legendre rule on each of `number` equal panels."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = 0.5 * (high - low) / number
    centres = low + half * (2 * np.arange(number) + 1)
    return (centres[:, None] + half * nodes).ravel(), np.tile(half * weights, number)


class TestSmoothing:
    @every_surface
    def test_smoothed_loss_agrees_with_monte_carlo(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        for width in (0.05, 0.5):
            x = rng.uniform(-reach, reach, size=dim)
            values = landscape.true_loss(x + width * rng.normal(size=(200_000, dim)))
            assert landscape.smoothed_loss(x, width) == pytest.approx(
                values.mean(), abs=standard_errors(values)
            )

    @pytest.mark.parametrize("kind, dim, settings, reach", [case for case in SURFACES if case[1] <= 2])
    def test_smoothed_loss_agrees_with_quadrature(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        nodes, weights = np.polynomial.hermite_e.hermegauss(100)
        grid = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), axis=-1)
        weight = weights if dim == 1 else np.outer(weights, weights)
        weight = weight / weight.sum()
        x, width = rng.uniform(1.0, 2.0, size=dim), 0.1  # the cone's tip of Ackley is 10 widths away
        expected = (weight * landscape.true_loss(x + width * grid)).sum()
        assert landscape.smoothed_loss(x, width) == pytest.approx(expected, rel=1e-12, abs=1e-12)

    @every_surface
    def test_no_width_gives_the_true_loss(self, rng, kind, dim, settings, reach):
        landscape = create_noisy_landscape(dim, kind=kind, seed=1, **settings)
        x = rng.uniform(-reach, reach, size=dim)
        assert landscape.smoothed_loss(x, 0.0) == pytest.approx(landscape.true_loss(x), rel=1e-13)

    @pytest.mark.parametrize("width", [1e-4, 0.1, 3.0])
    def test_smoothed_ackley_holds_across_the_tip(self, width):
        """Against Gauss-Legendre sums on either side of the tip, where a rule over both sides fails."""
        landscape = create_noisy_landscape(1, kind="ackley")
        for x in (0.0, 0.5 * width):
            total = 0.0
            for low, high in ((-9.0, -x / width), (-x / width, 9.0)):
                z, weight = panels(low, high)
                density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
                total += (weight * density * landscape.true_loss((x + width * z)[:, None])).sum()
            assert landscape.smoothed_loss([x], width) == pytest.approx(total, abs=1e-12)

    def test_wide_smoothing_removes_the_divots(self):
        landscape = create_noisy_landscape(1, kind="rugged")
        grid = np.linspace(-5.0, 5.0, 2001)[:, None]
        assert (np.diff(landscape.true_loss(grid), 2) < 0.0).any()
        assert (np.diff(landscape.smoothed_loss(grid, 0.5), 2) > 0.0).all()
