"""Claims about the pictures: what is drawn, where, and what is said about it."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nalr.landscapes import create_noisy_landscape
from nalr.plotting import plot_training_curves, style, visualize_landscape
from nalr.plotting.curves import MARKED
from nalr.policies import Reason


@pytest.fixture(autouse=True)
def no_figure_is_left_behind():
    before = plt.get_fignums()
    yield
    assert plt.get_fignums() == before


def draw(*arguments, **settings):
    """Draw with few points and render, so that a warning while rendering fails the test too."""
    ax = visualize_landscape(*arguments, **({"resolution": 21} | settings))
    render(ax.figure)
    return ax


def render(figure):
    figure.set_layout_engine("none")  # half of the time; `test_nothing_is_cut_off` has the layout
    figure.savefig(io.BytesIO(), format="png", dpi=50)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax, label):
    (found,) = (each for each in ax.lines if each.get_label() == label)
    return found


def starts(ax):
    """Where the open circles are."""
    return [
        each.get_xydata()[0] for each in ax.lines if each.get_marker() == "o" and len(each.get_xydata()) == 1
    ]


class Bowl:
    """The least that can be drawn: no optimum, no start, no smoothed loss."""

    def __init__(self, dim):
        self.dim = dim

    def true_loss(self, params):
        return (np.asarray(params) ** 2).sum(axis=-1)


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


REASONS = ["ramp", "ramp", "cut", "cut", "hold", "cut", "kick", "grow", "anneal", "anneal"]


def history(**changes):
    steps = np.arange(10)
    columns = {
        "step": steps,
        "loss": np.linspace(2.0, 1.0, 10),
        "smoothed_loss": np.linspace(2.1, 1.1, 10),
        "lr": np.geomspace(0.1, 0.01, 10),
        "noise_scale": np.full(10, 0.5),
        "noise_scale_low": np.full(10, 0.4),
        "noise_scale_high": np.full(10, 0.7),
        "curvature": np.ones(10),
        "reason": REASONS,
    }
    return {name: column for name, column in (columns | changes).items() if column is not None}


class Recorded:
    def __init__(self, columns):
        self.columns = columns

    def to_dict(self):
        return self.columns


def curves(*arguments, **settings):
    figure = plot_training_curves(*arguments, **settings)
    assert isinstance(figure, Figure)
    render(figure)
    return figure.axes


def markers(ax):
    """{marker: steps} of what is marked in a panel."""
    marked = [each for each in ax.lines if each.get_linestyle() == "None" and len(each.get_xdata())]
    return {each.get_marker(): list(each.get_xdata()) for each in marked}


class TestTrainingCurves:
    def test_three_panels_share_their_steps(self):
        loss, rate, noise = curves(history())
        assert [ax.get_ylabel() for ax in (loss, rate, noise)] == [
            "loss",
            "learning rate",
            "noise scale\n(gradient units)",
        ]
        assert [ax.get_xlabel() for ax in (loss, rate, noise)] == ["", "", "step"]
        assert loss.get_xlim() == rate.get_xlim() == noise.get_xlim()
        assert rate.get_yscale() == "log"
        assert legend(loss) == ["minibatch loss", "smoothed loss"]
        assert legend(rate) == ["cut", "kick", "anneal"]
        assert legend(noise) == ["estimate", "interval"]

    def test_columns_are_drawn_as_given(self):
        given = history()
        loss, rate, noise = curves(given)
        for drawn, column in [
            (line(loss, "minibatch loss"), "loss"),
            (line(loss, "smoothed loss"), "smoothed_loss"),
            (rate.lines[0], "lr"),
            (line(noise, "estimate"), "noise_scale"),
        ]:
            np.testing.assert_array_equal(drawn.get_xdata(), given["step"])
            np.testing.assert_array_equal(drawn.get_ydata(), given[column])
        assert line(loss, "minibatch loss").get_alpha() < 0.5
        (band,) = noise.collections
        low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
        assert (low, high) == (0.4, 0.7)

    def test_reasons_are_marked_only_where_a_run_of_them_begins(self):
        given = history()
        rate = curves(given)[1]
        assert markers(rate) == {"v": [2, 5], "^": [6], "D": [8]}
        (cuts,) = (each for each in rate.lines if each.get_marker() == "v" and len(each.get_xdata()))
        np.testing.assert_array_equal(cuts.get_ydata(), given["lr"][[2, 5]])

    def test_a_reason_at_the_first_step_is_marked(self):
        assert markers(curves(history(reason=["skip"] * 10))[1]) == {"X": [0]}

    def test_every_marked_reason_is_one_that_policies_give_and_has_a_shape_of_its_own(self):
        assert set(MARKED) <= {reason.value for reason in Reason}
        assert len({marker for marker, _ in MARKED.values()}) == len(MARKED)
        steps = np.arange(len(MARKED))
        rate = curves(
            {"step": steps, "loss": steps + 1.0, "lr": steps + 1.0, "reason": list(map(Reason, MARKED))}
        )[1]
        assert legend(rate) == list(MARKED)

    def test_ordinary_reasons_are_not_marked(self):
        rate = curves(history(reason=["ramp", "hold", "grow", "shrink", "other"] * 2))[1]
        assert markers(rate) == {} and rate.get_legend() is None

    def test_panels_without_data_are_left_out(self):
        nothing = np.full(10, np.nan)
        assert len(curves(history(noise_scale=None))) == 2
        assert len(curves(history(noise_scale=nothing))) == 2
        assert len(curves(history(noise_scale=nothing, lr=nothing))) == 1
        (rate,) = curves(history(loss=nothing, smoothed_loss=None, noise_scale=None))
        assert (rate.get_ylabel(), rate.get_xlabel()) == ("learning rate", "step")

    def test_values_that_are_not_finite_are_left_out_and_the_rest_joined(self):
        sparse = np.where(np.arange(10) % 3 == 0, 0.5, np.nan)
        loss = np.linspace(2.0, 1.0, 10)
        loss[[2, 7]] = np.nan, np.inf
        panel, _, noise = curves(history(noise_scale=sparse, noise_scale_high=np.full(10, np.inf), loss=loss))
        assert list(line(noise, "estimate").get_xdata()) == [0, 3, 6, 9]
        assert not noise.collections
        assert list(line(panel, "minibatch loss").get_xdata()) == [0, 1, 3, 4, 5, 6, 8, 9]

    def test_none_counts_as_not_measured(self):
        noise = curves(history(noise_scale=[None, 0.5, None] + [0.6] * 7))[2]
        assert list(line(noise, "estimate").get_xdata()) == [1, 3, 4, 5, 6, 7, 8, 9]

    def test_one_step_is_a_visible_point(self):
        loss, rate = curves({"step": [3], "loss": [1.0], "lr": [0.1]})
        assert line(loss, "minibatch loss").get_marker() == "o" and rate.lines[0].get_marker() == "o"

    def test_a_rate_of_zero_draws(self):
        zero = np.zeros(10)
        assert curves(history(lr=zero))[1].get_yscale() == "linear"
        assert curves(history(lr=np.append(zero[1:], 0.1)))[1].get_yscale() == "log"

    @pytest.mark.parametrize(
        "loss, log_loss, scale",
        [
            (np.geomspace(1.0, 11.0, 10), "auto", "log"),
            (np.geomspace(1.0, 9.0, 10), "auto", "linear"),
            (np.linspace(0.0, 11.0, 10), "auto", "linear"),
            (np.linspace(-1.0, 11.0, 10), True, "log"),
            (np.geomspace(1.0, 100.0, 10), False, "linear"),
        ],
    )
    def test_the_loss_axis_is_logarithmic_over_more_than_a_decade(self, loss, log_loss, scale):
        axes = curves(history(loss=loss, smoothed_loss=None), log_loss=log_loss)
        assert axes[0].get_yscale() == scale

    def test_to_dict_and_columns_of_a_frame_serve(self):
        given = history()
        frame = {name: dict(enumerate(column)) for name, column in given.items()}
        for each in (Recorded(given), Recorded(frame)):
            loss, rate, _ = curves(each)
            np.testing.assert_array_equal(line(loss, "minibatch loss").get_ydata(), given["loss"])
            assert markers(rate) == {"v": [2, 5], "^": [6], "D": [8]}

    def test_several_runs_share_the_panels(self):
        short = {"step": [0, 1], "loss": [3.0, 2.0], "lr": [0.1, 0.2]}
        loss, rate, noise = curves({"ours": history(), "theirs": Recorded(short)})
        assert legend(loss) == ["ours", "theirs"] and legend(rate) == ["cut", "kick", "anneal"]
        ours, theirs = line(loss, "ours"), line(loss, "theirs")
        np.testing.assert_array_equal(ours.get_ydata(), history()["smoothed_loss"])
        np.testing.assert_array_equal(theirs.get_ydata(), [3.0, 2.0])
        assert ours.get_color() != theirs.get_color() and ours.get_linestyle() != theirs.get_linestyle()
        assert noise.get_legend() is None
        # A mark has its run's colour, so that equal reasons of two runs are told apart.
        cuts = [each for each in rate.lines if each.get_marker() == "v" and len(each.get_xdata())]
        assert [each.get_color() for each in cuts] == [ours.get_color()]

    def test_axes_are_drawn_into(self):
        figure = Figure()
        axes = figure.subplots(3, 1)
        assert plot_training_curves(history(), axes=axes) is figure
        assert all(ax.lines for ax in axes)
        parts = figure.subfigures(1, 2)
        assert plot_training_curves(history(), axes=parts[0].subplots(3, 1)) is figure
        alone = Figure().subplots()
        nothing = np.full(10, np.nan)
        assert plot_training_curves(history(lr=nothing, noise_scale=None), axes=alone) is alone.figure

    BAD = [
        (history(loss=[1.0]), {}, ValueError, "equal length, got 10 of `step` and 1 of `loss`"),
        (history(reason=["cut"]), {}, ValueError, "equal length, got 10 of `step` and 1 of `reason`"),
        (
            history(lr=None),
            {},
            ValueError,
            "`history` must have the columns step, loss and lr, got step, loss",
        ),
        ({}, {}, ValueError, "must have the columns step, loss and lr, got none"),
        (
            {"step": [], "loss": [], "lr": []},
            {},
            ValueError,
            "`history` must have at least one step, got none",
        ),
        ({"a": history(loss=[1.0])}, {}, ValueError, "history 'a' must have columns of equal length"),
        ({"a": history(), "b": [1, 2]}, {}, TypeError, "history 'b' must be a mapping of columns"),
        ([1, 2], {}, TypeError, "`history` must be a mapping of columns or have `to_dict`, got list"),
        (history(loss=["x"] * 10), {}, TypeError, "`loss` must hold real numbers"),
        (
            history(loss=np.ones((10, 2))),
            {},
            ValueError,
            r"`loss` must have one number a step, got shape \(10, 2\)",
        ),
        ({"step": [0], "loss": [math.nan], "lr": [math.nan]}, {}, ValueError, "must have a finite loss"),
        (history(), {"log_loss": "yes"}, ValueError, "`log_loss` must be True, False or \"auto\", got 'yes'"),
        (history(), {"axes": [None]}, ValueError, "`axes` must be 3, one for each panel with data, got 1"),
    ]

    @pytest.mark.parametrize("given, settings, error, message", BAD)
    def test_bad_histories_are_named(self, given, settings, error, message):
        with pytest.raises(error, match=message):
            plot_training_curves(given, **settings)


def test_no_pyplot_and_no_display_are_needed():
    code = (
        "import sys, io; from nalr.plotting import plot_training_curves as plot;"
        "plot({'step': [0, 1], 'loss': [2.0, 1.0], 'lr': [0.1, 0.1]}).savefig(io.BytesIO());"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": "", "MPLBACKEND": "TkAgg"})


@pytest.mark.parametrize("picture", ["contours", "curves"])
def test_nothing_is_cut_off(picture):
    long_name = "stochastic gradient descent with momentum"
    if picture == "contours":
        figure = visualize_landscape(
            create_noisy_landscape(2), {f"{long_name} {j}": [[1.0, 1.0], [j, 0.5]] for j in range(4)}
        ).figure
    else:
        figure = plot_training_curves({long_name: history(), "other": history()})
    figure.draw_without_rendering()
    whole = figure.bbox
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert (
            whole.x0 - 1 <= box.x0
            and box.x1 <= whole.x1 + 1
            and whole.y0 - 1 <= box.y0
            and box.y1 <= whole.y1 + 1
        )
