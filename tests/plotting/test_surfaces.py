"""Plots of landscapes: what is drawn, and where."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nalr.landscapes import create_noisy_landscape
from nalr.plotting import style
from tests.plotting.cases import Bowl, draw, legend, line, starts


class TestLandscapes:
    def test_a_curve_is_the_true_loss(self):
        landscape = create_noisy_landscape(1, kind="rugged")
        ax = draw(landscape, bounds=(-2.0, 3.0), resolution=101)
        x, y = line(ax, "true loss").get_xydata().T
        np.testing.assert_array_equal(x, np.linspace(-2.0, 3.0, 101))
        np.testing.assert_array_equal(y, landscape.true_loss(x[:, None]))
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == (
            "parameter 1",
            "true loss",
            landscape.name,
        )
        assert ax.get_xlim() == (-2.0, 3.0)
        assert legend(ax) == ["true loss", "optimum"]

    def test_contours_are_of_the_true_loss(self):
        landscape = create_noisy_landscape(2, spectrum=[1.0, 9.0], optimum=[1.0, -1.0])
        ax = draw(landscape, bounds=((-2.0, 4.0), (-3.0, 1.0)), resolution=61)
        assert (ax.get_xlim(), ax.get_ylim()) == ((-2.0, 4.0), (-3.0, 1.0))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("parameter 1", "parameter 2")
        (contours,) = ax.collections
        # On the rim of each level the loss is that level, up to the grid's spacing times the slope.
        for path, level in zip(contours.get_paths()[10:30:10], contours.levels[10:30:10], strict=True):
            points = path.vertices
            losses = landscape.true_loss(points)
            assert losses.min() == pytest.approx(level, abs=0.2)
        np.testing.assert_array_equal(line(ax, "optimum").get_xydata(), [[1.0, -1.0]])

    def test_the_colour_bar_names_the_loss_and_can_be_left_out(self):
        landscape = create_noisy_landscape(2)
        assert [ax.get_ylabel() for ax in draw(landscape).figure.axes] == ["parameter 2", "true loss"]
        assert len(draw(landscape, colorbar=False).figure.axes) == 1

    def test_trajectories_are_drawn_as_given_between_their_markers(self, rng):
        paths = {"first": rng.normal(size=(7, 2)), "second": rng.normal(size=(5, 2))}
        ax = draw(create_noisy_landscape(2), paths)
        for name, path in paths.items():
            np.testing.assert_array_equal(line(ax, name).get_xydata(), path)
            assert line(ax, name).get_markevery() == [len(path) - 1]
        np.testing.assert_array_equal(starts(ax), [paths["first"][0], paths["second"][0]])
        assert legend(ax) == ["first", "second", "start", "optimum"]

    def test_trajectories_differ_in_more_than_colour(self):
        path = [[0.0, 0.0], [1.0, 1.0]]
        ax = draw(create_noisy_landscape(2), {str(index): path for index in range(7)})
        lines = [line(ax, str(index)) for index in range(7)]
        assert len({each.get_color() for each in lines}) == 7
        assert len({each.get_marker() for each in lines}) == 7
        assert [each.get_color() for each in lines] == list(style.COLOURS[:7])

    def test_one_array_is_one_trajectory_and_on_a_curve_lies_on_it(self):
        landscape = create_noisy_landscape(1, kind="double_well")
        path = np.array([1.5, 1.0, 0.5])
        for given in (path, path[:, None], list(path)):
            ax = draw(landscape, given)
            expected = np.column_stack([path, landscape.true_loss(path[:, None])])
            np.testing.assert_array_equal(line(ax, "trajectory").get_xydata(), expected)

    @pytest.mark.parametrize("dim", [1, 2])
    def test_smoothing_draws_the_smoothed_loss_and_says_so(self, dim):
        landscape = create_noisy_landscape(dim, kind="rugged")
        ax = draw(landscape, smoothing=0.5)
        assert "smoothed over a width of 0.5" in ax.get_title()
        if dim == 1:
            x, y = line(ax, "smoothed loss").get_xydata().T
            np.testing.assert_array_equal(y, landscape.smoothed_loss(x[:, None], 0.5))
        else:
            assert ax.figure.axes[1].get_ylabel() == "smoothed loss"

    def test_default_bounds_cover_trajectories_and_optimum_with_a_margin(self):
        path = np.array([[3.0, 1.0], [2.0, 4.0]])
        ax = draw(create_noisy_landscape(2), path)
        (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
        assert left < 0.0 and bottom < 0.0 and 3.0 < right < 4.0 and 4.0 < top < 5.0

    def test_default_bounds_without_trajectories_reach_as_far_as_the_start(self):
        for dim in (1, 2):
            landscape = create_noisy_landscape(dim, optimum=[1.0] * dim)
            low, high = draw(landscape).get_xlim()
            assert (low + high) / 2 == pytest.approx(1.0) and landscape.start[
                0
            ] < high < 2.0 * landscape.start[0]

    def test_a_diverged_run_does_not_stretch_the_picture(self):
        landscape = create_noisy_landscape(2)
        tame = np.array([[3.0, 3.0], [1.0, 1.0]])
        for far in (100.0, 1e80, 1e200, np.inf, np.nan):
            wild = np.vstack([tame, [[far, -far]], [[far, 0.0]]])
            ax = draw(landscape, wild)
            assert ax.get_xlim() == draw(landscape, tame).get_xlim()
            np.testing.assert_array_equal(line(ax, "trajectory").get_xydata()[:2], tame)

    @pytest.mark.parametrize("dim", [1, 2])
    def test_points_that_are_not_finite_leave_a_gap(self, dim):
        path = np.ones((4, dim)) * np.array([2.0, np.nan, 1.0, np.inf])[:, None]
        ax = draw(create_noisy_landscape(dim), path)
        drawn = line(ax, "trajectory")
        np.testing.assert_array_equal(np.isfinite(drawn.get_xydata()).all(axis=1), [True, False, True, False])
        assert drawn.get_markevery() == [2]

    @pytest.mark.parametrize("dim", [1, 2])
    def test_a_trajectory_without_a_finite_point_is_only_named(self, dim):
        ax = draw(
            create_noisy_landscape(dim), {"lost": np.full((3, dim), np.nan), "none": np.empty((0, dim))}
        )
        assert {"lost", "none", "optimum"} <= set(legend(ax)) and starts(ax) == []

    def test_ax_is_drawn_into_and_returned(self):
        figure = Figure()
        left, right = figure.subplots(1, 2)
        assert draw(create_noisy_landscape(1), ax=right) is right
        assert not left.lines and right.lines

    def test_no_optimum_and_no_name_will_do(self):
        ax = draw(Bowl(2), [[1.0, 2.0], [0.5, 0.5]])
        assert ax.get_title() == "Bowl" and legend(ax) == ["trajectory", "start"]
        assert isinstance(draw(Bowl(1)), Axes)

    def test_a_flat_landscape_has_one_colour(self):
        bowl = Bowl(2)
        bowl.true_loss = lambda params: np.zeros(np.shape(params)[:-1])
        assert isinstance(draw(bowl), Axes) and isinstance(draw(bowl, log=True), Axes)

    def test_loss_that_is_not_finite_is_a_hole(self):
        bowl = Bowl(2)
        bowl.true_loss = lambda params: np.where(params[..., 0] > 0.0, np.inf, (params**2).sum(axis=-1))
        assert isinstance(draw(bowl), Axes)


class TestLogLevels:
    def bar_label(self, ax):
        return ax.figure.axes[1].get_ylabel()

    def test_a_narrow_valley_has_them_and_a_bowl_has_not(self):
        assert "log" in self.bar_label(draw(create_noisy_landscape(2, kind="rosenbrock")))
        assert self.bar_label(draw(create_noisy_landscape(2, kind="quadratic"))) == "true loss"

    def test_the_choice_can_be_made(self):
        rosenbrock = create_noisy_landscape(2, kind="rosenbrock")
        assert self.bar_label(draw(rosenbrock, log=False)) == "true loss"
        (contours,) = draw(rosenbrock, log=True).collections
        np.testing.assert_allclose(np.diff(np.log(contours.levels)), np.log(1e6) / 39, rtol=0.3)

    def test_a_lowest_loss_other_than_zero_is_taken_off_and_named(self):
        landscape = create_noisy_landscape(1, kind="double_well")
        ax = draw(landscape, log=True)
        assert ax.get_yscale() == "log"
        label = f"true loss + {-landscape.optimal_loss:.3g}"
        assert ax.get_ylabel() == label + " (log scale)"
        x, y = line(ax, label).get_xydata().T
        above = landscape.true_loss(x[:, None]) - landscape.optimal_loss
        np.testing.assert_allclose(y, np.maximum(above, 1e-6 * above.max()))  # six decades, then a floor


class TestPlanes:
    def test_principal_directions_and_their_shares(self, rng):
        points = rng.normal(size=(40, 6)) * [5.0, 3.0, 1.0, 0.5, 0.2, 0.1]
        ax = draw(Bowl(6), {"a": points[:15], "b": points[15:]})
        variances, vectors = np.linalg.eigh(np.cov(points.T))
        shares = variances[::-1] / variances.sum()
        assert f"({shares[0]:.1%} of variance)" in ax.get_xlabel()
        assert f"({shares[1]:.1%} of variance)" in ax.get_ylabel()
        expected = np.abs((points - points.mean(axis=0)) @ vectors[:, ::-1][:, :2])
        drawn = np.vstack([line(ax, name).get_xydata() for name in "ab"])
        np.testing.assert_allclose(np.abs(drawn), expected, atol=1e-12)

    def test_given_directions_through_a_center(self):
        directions, center = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), np.array([1.0, 0.0, 0.0])
        point = center + 0.5 * directions[0] - 3.0 * directions[1]
        beside = point + [0.0, 0.7, -0.7]  # across the plane
        ax = draw(Bowl(3), [point, beside], directions=directions, center=center)
        np.testing.assert_allclose(line(ax, "trajectory").get_xydata(), [[0.5, -3.0]] * 2, atol=1e-12)
        assert "direction 1" in ax.get_xlabel() and "direction 2" in ax.get_ylabel()

    def test_an_optimum_off_the_plane_is_said_to_be(self, rng):
        landscape = create_noisy_landscape(4, kind="rugged")
        assert "optimum (nearest point)" in legend(draw(landscape, rng.normal(size=(9, 4)) + 2.0))
        assert "optimum" in legend(draw(landscape, directions=np.eye(4)[:2]))

    def test_a_straight_path_has_a_plane(self):
        path = np.linspace(1.0, 0.0, 5)[:, None] * np.ones(3)
        ax = draw(create_noisy_landscape(3), path)
        assert "(100.0% of variance)" in ax.get_xlabel() and "(0.0% of variance)" in ax.get_ylabel()

    def test_a_diverged_run_does_not_choose_the_plane(self, rng):
        landscape = create_noisy_landscape(5)
        tame = rng.normal(size=(20, 5))
        wild = np.vstack([landscape.start, np.full(5, 1e50), np.full(5, np.inf)])
        with_start = draw(landscape, {"tame": tame, "start alone": landscape.start[None]})
        assert draw(landscape, {"tame": tame, "wild": wild}).get_xlabel() == with_start.get_xlabel()

    @pytest.mark.parametrize("trajectories", [None, np.ones((1, 3)), np.full((5, 3), np.nan)])
    def test_nothing_to_choose_from_says_what_to_pass(self, trajectories):
        with pytest.raises(ValueError, match=r"or `directions` of shape \(2, 3\), must be given"):
            draw(Bowl(3), trajectories)


BAD_PICTURES = [
    (
        {"trajectories": np.ones((4, 3))},
        ValueError,
        r"`trajectories` must have shape \(N, 2\), got shape \(4, 3\)",
    ),
    ({"trajectories": {"SGD": np.ones(2)}}, ValueError, r"got shape \(2,\) for 'SGD'"),
    ({"trajectories": [["a", "b"]]}, TypeError, "`trajectories` must hold real numbers"),
    ({"bounds": (1.0, -1.0)}, ValueError, "`bounds` must be finite, each low below its high"),
    ({"bounds": (0.0, math.inf)}, ValueError, "`bounds` must be finite"),
    ({"bounds": (0.0, 1.0, 2.0)}, ValueError, r"`bounds` must be \(low, high\) or"),
    ({"directions": np.eye(3)}, ValueError, r"`directions` must have shape \(2, 2\), got shape \(3, 3\)"),
    ({"directions": np.ones((2, 2))}, ValueError, "`directions` must be finite and not parallel"),
    ({"directions": np.eye(2), "center": [1.0]}, ValueError, "`center` must be 2 finite numbers"),
    ({"center": [1.0, 1.0]}, ValueError, "`center` needs `directions` where dim is 2"),
    ({"smoothing": -1.0}, ValueError, "`smoothing` must be non-negative and finite, got -1.0"),
    ({"smoothing": 1.0}, ValueError, "`smoothing` needs a landscape with a `smoothed_loss`, got Bowl"),
    ({"resolution": 1}, ValueError, "`resolution` must be a whole number of at least 2, got 1"),
    ({"log": "yes"}, ValueError, "`log` must be True, False or \"auto\", got 'yes'"),
]


@pytest.mark.parametrize("settings, error, message", BAD_PICTURES)
def test_bad_settings_of_a_picture_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        draw(Bowl(2), **settings)
