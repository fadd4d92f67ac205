"""Noise from one row a step: what curvature does to it, and what takes that away."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from nalr import NoiseEstimator
from nalr.noise.reading import NoiseStatus
from tests.noise.helpers import same
from tests.tolerances import standard_errors

DIAGONAL = np.array([4.0, 1.0, 0.5, 0.25])  # of the Hessian
VARIANCES = np.array([0.5, 2.0, 1.0, 0.1])  # of one gradient
LR, BATCH = 0.05, 8.0


def walk(rng, steps, lr=LR):
    """Yield x and its gradient along plain SGD on ½ xᵀHx, with noise of a batch of 8."""
    params = np.full(4, 0.05)
    for _ in range(steps):
        gradient = DIAGONAL * params + np.sqrt(VARIANCES / BATCH) * rng.normal(size=4)
        yield params, gradient
        params = params - lr * gradient


def raw_of_run(rng, steps, *, correct):
    """Return (tr Σ, |G|² less the truth) of each step of a run, as the estimator has them."""
    estimator = NoiseEstimator(decay=0.0)
    before, found = None, []
    for params, gradient in walk(rng, steps):
        moved = DIAGONAL * (before - params) if correct and before is not None else None
        estimator.update(gradient[None], weights=[BATCH], hessian_step=moved)
        if before is not None:
            truth = float(((DIAGONAL * before) ** 2).sum())
            found.append((estimator.total_variance, estimator.signal - truth))
        before = params
    return np.array(found[200:])  # from the stationary state


@pytest.mark.slow
def test_curvatures_share_is_as_stated_and_goes_with_a_hessian_product(rng):
    plain, corrected = (raw_of_run(rng, 40_000, correct=correct) for correct in (False, True))
    variance, curved = VARIANCES.sum(), float((DIAGONAL * VARIANCES).sum())
    positions = LR * VARIANCES / BATCH / (DIAGONAL * (2.0 - LR * DIAGONAL))  # stationary variance of x
    moved = LR**2 * (DIAGONAL**2 * (DIAGONAL**2 * positions + VARIANCES / BATCH)).sum()  # E|Hs|²
    ghg = float((DIAGONAL**3 * positions).sum())

    stated = BATCH * (LR * curved / BATCH + 0.5 * moved)
    error = standard_errors(plain[:, 0], 6.0)  # correlated steps: twice the independent error is ample
    assert plain[:, 0].mean() - variance == pytest.approx(stated, abs=error)
    assert stated > 2.0 * error
    low = -LR * (ghg + curved / BATCH)
    assert plain[:, 1].mean() == pytest.approx(low, abs=standard_errors(plain[:, 1], 6.0))

    assert corrected[:, 0].mean() == pytest.approx(variance, abs=standard_errors(corrected[:, 0], 6.0))
    assert corrected[:, 1].mean() == pytest.approx(0.0, abs=standard_errors(corrected[:, 1], 6.0))
    assert abs(low) > 2.0 * standard_errors(corrected[:, 1], 6.0)


def test_the_reading_names_its_source(rng):
    estimator = NoiseEstimator().update(rng.normal(size=(1, 3)))
    assert estimator.update(rng.normal(size=(1, 3))).reading().source == "steps"
    estimator.update(rng.normal(size=(1, 3)), hessian_step=np.zeros(3))
    assert estimator.reading().source == "steps, curvature removed"
    assert estimator.update(rng.normal(size=(2, 3)), hessian_step=np.ones(3)).reading().source == "rows"


def test_rows_of_one_step_need_no_hessian_and_ignore_it(rng):
    rows = rng.normal(size=(4, 3))
    plain, given = NoiseEstimator().update(rows), NoiseEstimator().update(rows, hessian_step=np.ones(3))
    assert given.reading() == plain.reading()


def test_groups_and_accumulated_rows_take_their_part_of_the_hessian_step(rng):
    settings = {"groups": {"end": slice(1, 3)}}
    whole, alone, stream = NoiseEstimator(**settings), NoiseEstimator(), NoiseEstimator(**settings)
    for _ in range(12):
        row, moved = rng.normal(size=3), rng.normal(size=3)
        whole.update(row[None], hessian_step=moved)
        stream.accumulate(row).update(hessian_step=moved)
        alone.update(row[None, 1:], hessian_step=moved[1:])
    assert whole.reading().groups["end"] == alone.reading()
    assert stream.reading() == whole.reading()


def test_resume_before_a_corrected_step_has_ended_is_exact(rng):
    whole = NoiseEstimator()
    for _ in range(3):
        whole.update(rng.normal(size=(1, 4)), hessian_step=rng.normal(size=4))
    resumed = NoiseEstimator()
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    for estimator in (whole, resumed):
        estimator.update(np.ones((1, 4)))
    assert same(whole.state_dict(), resumed.state_dict())


# -- under a preconditioner ---------------------------------------------------------------------------


def test_one_row_steps_fall_back_on_the_change_from_step_to_step(rng):
    estimator = NoiseEstimator(decay=0.999)
    assert estimator.update(rng.normal(size=(1, 40))).reading().status is NoiseStatus.ONE_ROW
    for _ in range(2000):
        estimator.update(0.3 + rng.normal(size=(1, 40)))
    reading = estimator.reading()
    assert reading.source == "steps"
    assert reading.noise_scale == pytest.approx(1.0, rel=0.03)
    assert reading.signal == pytest.approx(40 * 0.09, rel=0.2)


@pytest.mark.parametrize("bad", [math.nan, 1e200])
def test_one_row_steps_are_compared_across_a_step_that_was_not_usable(rng, bad):
    clean, dirty = NoiseEstimator(), NoiseEstimator()
    for step in range(40):
        row = rng.normal(size=(1, 5))
        clean.update(row)
        dirty.update(row)
        if step == 10:
            dirty.update(np.full((1, 5), bad))
    assert dirty.reading().total_variance == clean.reading().total_variance
    assert dirty.reading().signal == clean.reading().signal
