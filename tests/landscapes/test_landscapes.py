"""Claims about the synthetic landscapes, each against something slower and obviously right."""

from __future__ import annotations

import inspect
import json
import math

import numpy as np
import pytest

from nalr.landscapes import Landscape, create_noisy_landscape
from tests.tolerances import standard_errors

# kind, dim, settings, half-width of the box that test points are drawn from
SURFACES = [
    ("quadratic", 1, {}, 5.0),
    ("quadratic", 5, {"condition": 1e3}, 5.0),
    ("quadratic", 3, {"spectrum": [4.0, 1.0, 0.0], "rotate": True, "optimum": [1.0, -2.0, 0.5]}, 5.0),
    ("rugged", 2, {}, 5.0),
    ("rugged", 10, {"amplitude": 0.3, "frequency": 4.0, "curvature": 2.0}, 5.0),
    ("double_well", 1, {}, 2.0),
    ("double_well", 4, {"tilt": 0.3}, 2.0),
    ("rosenbrock", 2, {}, 2.0),
    ("rosenbrock", 6, {"narrowness": 10.0}, 2.0),
    ("beale", 2, {}, 3.0),
    ("rastrigin", 1, {}, 5.0),
    ("rastrigin", 3, {}, 5.0),
    ("ackley", 1, {}, 5.0),
    ("ackley", 4, {}, 5.0),
    ("griewank", 1, {}, 50.0),
    ("griewank", 5, {}, 50.0),
    ("drifting", 2, {"drift": 0.1, "jump_every": 3}, 5.0),
    ("drifting", 3, {"drift": [0.1, 0.0, -0.2], "condition": 10.0, "rotate": True}, 5.0),
]
NOISES = [
    ("gaussian", {}),
    (
        "student_t",
        {"degrees_of_freedom": 9.0},
    ),  # above 8 the sampling error of a variance is itself measurable
    ("spikes", {"spike_probability": 0.05, "spike_size": 10.0}),
    ("spikes", {"spike_probability": 0.5, "spike_size": 2.0}),  # few tails, so a small error of scale shows
    ("multiplicative", {}),
    ("gaussian", {"noise_covariance": "hessian"}),
    ("student_t", {"degrees_of_freedom": 9.0, "noise_covariance": "hessian"}),
]


def _names(cases):
    return [f"{case[0]}-{'-'.join(str(part) for part in case[1:3])}" for case in cases]


every_surface = pytest.mark.parametrize("kind, dim, settings, reach", SURFACES, ids=_names(SURFACES))
every_noise = pytest.mark.parametrize("noise, settings", NOISES, ids=_names(NOISES))
ADDITIVE = [case for case in NOISES if case[0] != "multiplicative"]
additive_noise = pytest.mark.parametrize("noise, settings", ADDITIVE, ids=_names(ADDITIVE))


def central_difference(function, x, step):
    """Slope of `function` along each coordinate: rows of the derivative. Error O(step²)."""
    return np.array([(function(x + e) - function(x - e)) / (2.0 * step) for e in step * np.eye(x.size)])


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


class TestDoor:
    def test_the_description_example_makes_sense(self):
        landscape = create_noisy_landscape(dim=2, noise_scale=0.5)
        loss, gradient = landscape.compute_loss_and_grad(np.array([3.0, 3.0]))
        assert isinstance(landscape, Landscape) and isinstance(loss, float) and gradient.shape == (2,)
        np.testing.assert_array_equal(landscape.gradient([3.0, 3.0]), [3.0, 3.0])
        assert landscape.true_loss([3.0, 3.0]) == 9.0
        assert (landscape.dim, landscape.noise_scale, landscape.kind) == (2, 0.5, "quadratic")
        assert landscape.name == "quadratic, dim 2, gaussian noise 0.5"

    VALUES = [
        ({"dim": 0}, "`dim` must be a whole number of at least 1, got 0"),
        ({"noise_scale": -0.1}, "`noise_scale` must be non-negative and finite, got -0.1"),
        ({"noise_scale": math.inf}, "`noise_scale` must be non-negative and finite, got inf"),
        ({"noise_scale": math.nan}, "`noise_scale` must be non-negative and finite, got nan"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0, got -1"),
        ({"kind": "bowl"}, "`kind` must be one of 'quadratic', 'rugged', .*'drifting', got 'bowl'"),
        ({"noise": "pink"}, "`noise` must be one of 'gaussian', 'student_t', .*, got 'pink'"),
        ({"noise_covariance": "full"}, "`noise_covariance` must be one of 'identity', 'hessian', got 'full'"),
        (
            {"kind": "rugged", "noise_covariance": "hessian"},
            "needs kind 'quadratic' or 'drifting', got kind 'rugged'",
        ),
        ({"noise": "multiplicative", "noise_covariance": "hessian"}, "got 'multiplicative'"),
        ({"loss_noise": -1.0}, "`loss_noise` must be non-negative and finite, got -1.0"),
        (
            {"noise": "student_t", "degrees_of_freedom": 2},
            "`degrees_of_freedom` must be greater than 2 and finite",
        ),
        ({"noise": "spikes", "spike_probability": 1.5}, r"`spike_probability` must be in \[0, 1\], got 1.5"),
        ({"noise": "spikes", "spike_size": 0.5}, "`spike_size` must be at least 1 and finite, got 0.5"),
        ({"spectrum": [1.0]}, r"`spectrum` must have shape \(2,\), got shape \(1,\)"),
        ({"spectrum": [1.0, -1.0]}, "`spectrum` must be non-negative"),
        ({"spectrum": [0.0, 0.0]}, "with one positive value"),
        ({"spectrum": [1.0, math.nan]}, "`spectrum` must be finite"),
        ({"spectrum": [1.0, 2.0], "condition": 5.0}, "give one of them"),
        ({"condition": 0.5}, "`condition` must be at least 1 and finite, got 0.5"),
        ({"optimum": [1.0, 2.0, 3.0]}, r"`optimum` must have shape \(2,\), got shape \(3,\)"),
        ({"kind": "rugged", "amplitude": -1.0}, "`amplitude` must be non-negative and finite"),
        ({"kind": "rugged", "frequency": 0.0}, "`frequency` must be positive and finite"),
        ({"kind": "double_well", "tilt": 0.4}, r"`tilt` must be in \(0, 2/√27\), got 0.4"),
        ({"kind": "rosenbrock", "dim": 1}, "`dim` must be at least 2 for kind 'rosenbrock', got 1"),
        ({"kind": "beale", "dim": 3}, "`dim` must be 2 for kind 'beale', got 3"),
        ({"kind": "drifting", "drift": [1.0]}, r"`drift` must have shape \(2,\), got shape \(1,\)"),
        ({"kind": "drifting", "jump_every": 0}, "`jump_every` must be a whole number of at least 1, got 0"),
    ]

    @pytest.mark.parametrize("arguments, message", VALUES)
    def test_bad_values_raise_one_sentence(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            create_noisy_landscape(**arguments)

    TYPES = [
        ({"dim": 2.0}, "`dim` must be a whole number"),
        ({"seed": "a"}, "`seed` must be a whole number"),
        ({"rotate": 1}, "`rotate` must be True or False, got 1"),
        ({"spectrum": ["a", "b"]}, "`spectrum` must hold real numbers"),
        (
            {"frequency": 3.0},
            "`frequency` is not a setting of kind 'quadratic' with noise 'gaussian', which takes spectrum,",
        ),
        (
            {"kind": "rugged", "frequancy": 3.0},
            "which takes amplitude, frequency, curvature, noise, noise_covariance, loss_noise",
        ),
        ({"spike_size": 3.0}, "`spike_size` is not a setting .* noise 'gaussian'"),
    ]

    @pytest.mark.parametrize("arguments, message", TYPES)
    def test_wrong_types_and_unknown_settings_raise_type_error(self, arguments, message):
        with pytest.raises(TypeError, match=message):
            create_noisy_landscape(**arguments)

    @pytest.mark.parametrize(
        "method", ["sample", "compute_loss_and_grad", "sample_gradients", "gradient", "gradient_covariance"]
    )
    def test_wrong_shape_names_both(self, method):
        call = getattr(create_noisy_landscape(), method)
        extra = {"batch_size": 1} if "batch_size" in inspect.signature(call).parameters else {}
        with pytest.raises(ValueError, match=r"`params` must have shape \(2,\), got shape \(3,\)"):
            call(np.ones(3), **extra)

    def test_other_bad_arguments_are_named(self):
        landscape = create_noisy_landscape()
        with pytest.raises(ValueError, match=r"`params` must have shape \(\.\.\., 2\), got shape \(2, 3\)"):
            landscape.true_loss(np.ones((2, 3)))
        with pytest.raises(ValueError, match=r"`v` must have shape \(2,\), got shape \(1, 2\)"):
            landscape.hessian_vector(np.ones(2), np.ones((1, 2)))
        with pytest.raises(TypeError, match="`params` must hold real numbers, got dtype complex128"):
            landscape.gradient(np.ones(2) * 1j)
        with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1, got 0"):
            landscape.sample(np.ones(2), 0)
        with pytest.raises(ValueError, match="`width` must be non-negative and finite, got -1.0"):
            landscape.smoothed_loss(np.ones(2), -1.0)

    def test_a_state_of_another_landscape_is_refused(self):
        state = create_noisy_landscape(3, kind="rugged").state_dict()
        with pytest.raises(
            ValueError, match="must come from kind 'quadratic' of dim 2, got kind 'rugged' of dim 3"
        ):
            create_noisy_landscape(2).load_state_dict(state)

    def test_what_is_handed_out_is_a_copy(self):
        landscape = create_noisy_landscape(2)
        landscape.optimum[:] = 7.0
        np.testing.assert_array_equal(landscape.optimum, [0.0, 0.0])
