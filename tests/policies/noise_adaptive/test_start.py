"""The first step: its promise against the loss, its length against the parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import NoiseAdaptiveLR
from nalr.policies import Reason
from nalr.policies.noise_adaptive.start import Start, StartSettings
from nalr.policies.noise_adaptive.view import Course
from tests.policies.noise_adaptive.cases import plan, view

C = StartSettings()


def first_rate(base_lr, loss, squared_norm=1.0, parameters=math.nan):
    """Return the first rate with a gradient and parameters of these squared lengths."""
    start = Start(C, plan()._replace(base_lr=base_lr))
    seen = view(step=0, loss=loss, squared_norm=squared_norm, parameters_squared_norm=parameters)
    move = start.judge(seen, Course(base_lr))
    assert move.reason is Reason.START
    return move.rate


def test_a_step_that_promises_little_and_is_short_has_the_base_rate():
    assert first_rate(0.01, loss=10.0, parameters=100.0) == 0.01


def test_a_loss_near_zero_makes_no_step_shorter_than_the_least():
    # |x| = 10: the step of length 10·first_least, whatever the loss says.
    for loss in (1e-9, -1e-12):
        assert first_rate(0.02, loss=loss, parameters=100.0) == pytest.approx(10.0 * C.first_least), loss


def test_an_offset_loss_or_none_still_makes_no_step_longer_than_the_longest():
    for loss in (0.0, 1e9, -1e9):
        assert first_rate(1e3, loss, parameters=100.0) == pytest.approx(10.0 * C.first_longest)


def test_between_the_two_lengths_the_loss_decides():
    # A promise of first_gain·|L| is reached at a rate of first_gain·.2 = .1, a step of .1 of |x| = 10: .01.
    assert first_rate(0.15, loss=0.2, parameters=100.0) == pytest.approx(C.first_gain * 0.2)
    assert C.first_least < C.first_gain * 0.2 / 10.0 < C.first_longest


@pytest.mark.parametrize("parameters", [math.nan, math.inf])
def test_where_the_parameters_are_not_known_the_loss_alone_decides(parameters):
    assert first_rate(10.0, loss=1e-6, parameters=parameters) == pytest.approx(C.first_gain * 1e-6)
    assert first_rate(10.0, loss=0.0, parameters=parameters) == 10.0  # a level of 0 says nothing
    assert first_rate(10.0, loss=1e6, parameters=parameters) == 10.0


@pytest.mark.parametrize("start", [np.zeros(2), None], ids=["parameters of zero", "unknown parameters"])
def test_a_run_from_zero_or_from_unknown_parameters_is_limited_by_its_loss(start):
    rows = np.full((4, 2), 10.0)  # |ḡ|² = 200
    controller = NoiseAdaptiveLR(10.0)
    assert controller.get_adapted_lr(rows, 4.0, start) == pytest.approx(C.first_gain * 4.0 / 200.0)
    assert NoiseAdaptiveLR(10.0).get_adapted_lr(rows, 0.0, start) == 10.0


def test_a_step_that_was_made_is_kept_as_far_as_loss_and_length_allow():
    start = Start(C, plan())
    assert start.share(promise=1.0, loss=100.0, length=0.01) == 1.0
    # Without a loss the length alone: from twice the longest, half is kept.
    assert start.share(promise=1.0, loss=0.0, length=2.0 * C.first_longest) == pytest.approx(0.5)
    # A loss near zero: no shorter than the least length, and a step below that is kept whole.
    assert start.share(promise=1.0, loss=1e-9, length=4.0 * C.first_least) == pytest.approx(0.25)
    assert start.share(promise=1.0, loss=1e-9, length=0.5 * C.first_least) == 1.0
    # Unknown length: the loss alone.
    assert start.share(promise=1.0, loss=1.0, length=math.nan) == pytest.approx(C.first_gain_other)
    assert start.share(promise=1.0, loss=0.0, length=math.nan) == 1.0
    assert start.share(promise=0.0, loss=1.0, length=0.0) == 1.0
