"""Curvature along the steps: precomputed sums, interruptions, bad data, and input checks."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nalr import DirectionalCurvature, Moments
from nalr.curvature import DirectionalStatus


def test_sums_made_elsewhere_say_the_same_and_foreign_steps_are_left_out(rng):
    by_rows, by_sums = DirectionalCurvature(), DirectionalCurvature()
    step = None
    for _ in range(30):
        rows = rng.normal(size=(4, 6)) + 1.0
        moments, mean = Moments.from_rows(rows), rows.mean(axis=0)
        if step is not None:
            moments = moments._replace(step_product=mean @ step, step_squared_norm=step @ step)
        by_rows.update(rows, 0.2)
        by_sums.update_moments(moments, 0.2)
        step = 0.2 * mean
    ours, theirs = by_rows.reading(), by_sums.reading()
    assert ours.count == theirs.count == 29
    assert ours.value == pytest.approx(theirs.value, rel=1e-10)
    assert ours.standard_error == pytest.approx(theirs.standard_error, rel=1e-9)
    by_sums.update_moments(moments._replace(step_squared_norm=1.0), 0.2)
    after = by_sums.reading()
    assert (after.count, after.status) == (29, DirectionalStatus.FOREIGN)


@pytest.mark.parametrize("given", [False, True])
def test_resuming_gives_the_same_bits_through_json(rng, given):
    batches = rng.normal(size=(40, 4, 6))

    def fed(curvature, some):
        for rows in some:
            curvature.update(rows, 0.2, step=rows[0] if given else None)
        return curvature

    whole = fed(DirectionalCurvature(), batches)
    saved = fed(DirectionalCurvature(), batches[:17]).state_dict()
    text = json.dumps(saved, default=np.ndarray.tolist)
    resumed = DirectionalCurvature()
    resumed.load_state_dict(json.loads(text))
    assert fed(resumed, batches[17:]).reading() == whole.reading()
    resumed.reset()
    assert str(resumed.reading()) == str(DirectionalCurvature().reading())


def test_steps_that_are_not_finite_are_counted_and_change_nothing_else(rng):
    batches = rng.normal(size=(12, 4, 6))
    clean, broken = DirectionalCurvature(), DirectionalCurvature()
    for rows in batches:
        clean.update(rows, 0.1)
        broken.update(rows, 0.1)
    bad = batches[0].copy()
    bad[1, 2] = math.nan
    broken.update(bad, 0.1)
    assert broken.reading().status is DirectionalStatus.SKIPPED
    broken.update_moments(Moments.from_rows(bad), 0.1)
    assert broken.reading().nonfinite == 2
    assert broken.reading().value == clean.reading().value
    broken.update(batches[0], 0.1)  # what follows has no step that led to it
    assert broken.reading().count == clean.reading().count


def test_what_is_not_known_yet_is_said(rng):
    curvature = DirectionalCurvature()
    assert curvature.reading().status is DirectionalStatus.NO_DATA
    for _ in range(3):
        curvature.update(rng.normal(size=(1, 4)), 0.1)
    assert curvature.reading().status is DirectionalStatus.ONE_ROW and curvature.reading().count == 0
    curvature.reset()
    for _ in range(3):
        curvature.update(rng.normal(size=(2, 4)), 0.1)
    reading = curvature.reading()
    assert reading.status is DirectionalStatus.FEW and math.isfinite(reading.value)
    assert math.isnan(reading.standard_error) and not reading.significant
    for _ in range(20):
        curvature.update(rng.normal(size=(2, 4)), 0.0)
    assert curvature.reading().kappa == 0.0


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda c: DirectionalCurvature(decay=1.0), ValueError, r"`decay` must be in \[0, 1\), got 1.0."),
        (
            lambda c: DirectionalCurvature(confidence=0),
            ValueError,
            r"`confidence` must be in \(0, 1\), got 0.",
        ),
        (
            lambda c: c.update(np.ones((2, 4)), -1.0),
            ValueError,
            "`lr` must be non-negative and finite, got -1",
        ),
        (lambda c: c.update(np.ones((2, 5)), 0.1), ValueError, "`gradients` must have"),
        (lambda c: c.update(np.ones(4), 0.1), ValueError, r"`gradients` must have shape \(B, D\)"),
        (lambda c: c.update(np.ones((2, 4)), 0.1, step=np.ones(3)), ValueError, "`step` must have"),
        (
            lambda c: c.update(np.ones((2, 4)), 0.1, response=0.1),
            ValueError,
            "`response` must come with `step`",
        ),
        (
            lambda c: c.update(np.ones((2, 4)), 0.1, weights=[1.0]),
            ValueError,
            "`weights` must hold one weight",
        ),
        (
            lambda c: c.update_moments(Moments.from_rows(np.ones((2, 3))), 0.1),
            ValueError,
            "`moments` must have dimension 4 as in earlier updates, got 3.",
        ),
        (
            lambda c: c.load_state_dict(DirectionalCurvature(decay=0.5).state_dict()),
            ValueError,
            "`state` must have been saved by DirectionalCurvature",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(action, error, message):
    with pytest.raises(error, match=message):
        action(DirectionalCurvature().update(np.ones((2, 4)), 0.1))
