"""Plots of training runs, without pyplot and with nothing cut off."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from nalr.landscapes import create_noisy_landscape
from nalr.plotting import plot_training_curves, visualize_landscape
from nalr.plotting.curves import MARKED
from nalr.policies import Reason
from tests.helpers import run_python
from tests.plotting.cases import legend, line, render

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
        # A mark has its run's colour, which distinguishes equal reasons of two runs.
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


@pytest.mark.slow
def test_no_pyplot_and_no_display_are_needed():
    code = (
        "import sys, io; from nalr.plotting import plot_training_curves as plot;"
        "plot({'step': [0, 1], 'loss': [2.0, 1.0], 'lr': [0.1, 0.1]}).savefig(io.BytesIO());"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    result = run_python("-c", code, env={"PATH": "", "MPLBACKEND": "TkAgg"})
    assert result.returncode == 0, result.stderr


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


def test_what_gradients_predict_is_not_called_a_loss():
    axes = curves(history(loss_source=["predicted"] * 10))[0]
    assert axes.get_ylabel() == "predicted change"
    title = "No loss was given: the change of it that gradients predict"
    assert title in (axes.get_title(), axes.get_title(loc="left"))
    assert legend(axes) == ["predicted change", "smoothed"]
