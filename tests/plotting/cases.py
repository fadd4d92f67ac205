"""What the tests of plots share."""

from __future__ import annotations

import io

import numpy as np

from nalr.plotting import visualize_landscape


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
