from __future__ import annotations

import copy
import math
import warnings

import numpy as np
import pytest

from nalr import Moments, NoiseEstimator, NoiseWarning, create_noisy_landscape
from nalr.noise.efficiency import batch_efficiency
from nalr.noise.one_batch import compute_gradient_variance
from nalr.noise.reading import NoiseStatus
from tests.cases import batches
from tests.tolerances import rounding

BATCHES = {name: rows for name, rows in batches().items() if name != "huge"}


def settled(rng, steps=200, rows=16, dimension=30, mean=0.2, **settings):
    estimator = NoiseEstimator(**settings)
    for _ in range(steps):
        estimator.update(mean + rng.normal(size=(rows, dimension)))
    return estimator


def same(a, b):
    """Whether two nested states are equal to the bit; nan equals nan."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=True)
    return a == b or (a != a and b != b)


# -- one batch ----------------------------------------------------------------------------------------


def test_noise_of_standard_normal_gradients_is_near_one(rng):
    noise = NoiseEstimator().estimate_noise(rng.normal(size=(32, 10)))
    assert noise == pytest.approx(1.0, abs=4.0 / math.sqrt(2 * 31 * 10))


def test_noise_of_a_landscape_is_its_noise_scale():
    landscape = create_noisy_landscape(dim=2, noise_scale=0.5, seed=1)
    rows = landscape.sample_gradients(np.array([3.0, 3.0]), 4096)
    assert NoiseEstimator().estimate_noise(rows) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("name", BATCHES)
def test_variance_equals_numpy_in_long_double(name):
    rows = BATCHES[name]
    wide = np.asarray(rows, dtype=np.longdouble).var(axis=0, ddof=1).astype(float)
    tolerance = rounding(np.asarray(rows, dtype=float))
    variance = NoiseEstimator().compute_variance(rows)
    np.testing.assert_allclose(variance, wide, rtol=tolerance, atol=tolerance * wide.max())
    noise = NoiseEstimator().estimate_noise(rows)
    assert noise == pytest.approx(math.sqrt(wide.mean()), rel=10.0 * rounding(rows), abs=0.0)
    np.testing.assert_array_equal(compute_gradient_variance(rows), variance)


def test_measuring_a_batch_changes_no_state(rng):
    estimator = settled(rng, steps=3)
    before = copy.deepcopy(estimator.state_dict())
    estimator.estimate_noise(rng.normal(size=(4, 7)))
    estimator.compute_variance(rng.normal(size=(4, 7)))
    assert same(estimator.state_dict(), before)


def test_one_row_gives_zero_and_one_warning(rng):
    estimator = NoiseEstimator()
    row = rng.normal(size=(1, 5))
    with pytest.warns(NoiseWarning, match="one row says nothing about gradient noise"):
        assert estimator.estimate_noise(row) == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimator.estimate_noise(row) == 0.0
        np.testing.assert_array_equal(estimator.compute_variance(row), np.zeros(5))


@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        (np.ones((2, 3), dtype=int), TypeError, "must hold floating-point numbers, got dtype int64"),
        (np.ones((2, 3), dtype=complex), TypeError, "must hold floating-point numbers, got dtype complex128"),
        (np.array([[None, 1.0]]), TypeError, "must hold floating-point numbers, got dtype object"),
        (np.ones(3), ValueError, r"must have shape \(B, D\), one row per sample, got shape \(3,\)"),
        (np.ones((0, 3)), ValueError, r"at least one row and one column, got shape \(0, 3\)"),
        (np.ones((3, 0)), ValueError, r"at least one row and one column, got shape \(3, 0\)"),
    ],
)
def test_wrong_gradients_are_refused_in_one_sentence(gradients, error, message):
    for call in (
        NoiseEstimator().estimate_noise,
        NoiseEstimator().compute_variance,
        NoiseEstimator().update,
    ):
        with pytest.raises(error, match=message):
            call(gradients)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"decay": 1.0}, ValueError, r"`decay` must be in \[0, 1\), got 1\.0\."),
        ({"decay": "x"}, TypeError, r"`decay` must be a real number in \[0, 1\), got 'x'\."),
        ({"decay": math.nan}, ValueError, r"`decay` must be in \[0, 1\), got nan\."),
        ({"population": 0}, ValueError, r"`population` must be a whole number of at least 1, got 0\."),
        ({"population": 2.5}, TypeError, r"`population` must be a whole number of at least 1, got 2\.5\."),
        ({"confidence": 1.0}, ValueError, r"`confidence` must be in \(0, 1\), got 1\.0\."),
        ({"per_coordinate": 1}, TypeError, r"`per_coordinate` must be True or False, got 1\."),
        ({"groups": {"a": [0, 1]}}, TypeError, r"`groups` must map names to slices of columns"),
    ],
)
def test_wrong_settings_are_refused_at_construction(settings, error, message):
    with pytest.raises(error, match=message):
        NoiseEstimator(**settings)


# -- the stream ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [1, 7, 50, 99])
def test_merge_equals_single_pass(rng, split):
    gradients = 1e8 + rng.normal(size=(100, 3))
    whole = NoiseEstimator().update(gradients)
    parts = NoiseEstimator().update(gradients[:split]).merge(NoiseEstimator().update(gradients[split:]))
    tolerance = rounding(gradients)
    assert parts.reading().total_variance == pytest.approx(whole.reading().total_variance, rel=tolerance)


def test_rows_accumulated_one_by_one_equal_the_batch(rng):
    batch, stream = NoiseEstimator(), NoiseEstimator()
    for _ in range(20):
        rows = rng.normal(size=(6, 5))
        batch.update(rows)
        for row in rows[:4]:
            stream.accumulate(row)
        stream.update(rows[4:])
    a, b = batch.reading(), stream.reading()
    assert b.total_variance == pytest.approx(a.total_variance, rel=1e-12)
    assert b.signal == pytest.approx(a.signal, rel=1e-9, abs=1e-12)
    assert b.count == a.count == 20


def test_order_matters_average_first_then_clamp():
    # |G|² = .0025 and tr Σ = 50 in 50 dimensions, four rows a step.
    rng = np.random.default_rng(3)
    dimension, steps = 50, 4000
    mean = math.sqrt(0.0025 / dimension)
    estimator = NoiseEstimator(decay=0.9999)
    clamped, naive = [], []
    for _ in range(steps):
        rows = mean + rng.normal(size=(4, dimension))
        estimator.update(rows)
        norm = float((rows.mean(axis=0) ** 2).sum())
        clamped.append(max(norm - rows.var(axis=0, ddof=1).sum() / 4, 0.0))
        naive.append(norm)
    error = np.std(naive) / math.sqrt(steps)
    assert estimator.reading().signal == pytest.approx(0.0025, abs=4.0 * error)
    assert np.mean(clamped) > 400 * 0.0025
    assert np.mean(naive) > 1000 * 0.0025


def test_total_variance_and_signal_of_a_landscape_are_unbiased():
    landscape = create_noisy_landscape(dim=8, noise_scale=0.7, seed=5)
    params = np.full(8, 0.3)
    estimator = NoiseEstimator(decay=0.9999)
    for _ in range(3000):
        estimator.update(landscape.sample_gradients(params, 8))
    reading = estimator.reading()
    assert reading.total_variance == pytest.approx(8 * 0.49, rel=0.02)
    low, high = reading.signal_interval
    assert low <= float(landscape.gradient(params) @ landscape.gradient(params)) <= high
    assert reading.gradient_noise_scale == pytest.approx(8 * 0.49 / (8 * 0.09), rel=0.05)
    assert reading.status is NoiseStatus.OK
    assert reading.source == "rows"


def test_rows_without_replacement_need_the_population_correction(rng):
    data = 0.1 + rng.normal(size=(64, 20))
    truth = float((data.mean(axis=0) ** 2).sum())
    corrected, raw = NoiseEstimator(decay=0.9999, population=64), NoiseEstimator(decay=0.9999)
    for _ in range(3000):
        rows = data[rng.permutation(64)[:16]]
        corrected.update(rows)
        raw.update(rows)
    low, high = corrected.reading().signal_interval
    assert low <= truth <= high
    assert raw.signal + data.var(axis=0, ddof=1).sum() / 64 == pytest.approx(
        corrected.reading().signal, rel=0.01
    )
    assert raw.reading().signal_interval[1] < truth


@pytest.mark.parametrize("steps", [1, 5, 40, 300])
def test_intervals_cover_the_truth(rng, steps):
    n, hits = 300, np.zeros(3)
    truth = (20.0, 1.8, 20.0 / 1.8)
    for _ in range(n):
        reading = settled(rng, steps=steps, rows=12, dimension=20, mean=0.3).reading()
        intervals = (
            reading.total_variance_interval,
            reading.signal_interval,
            reading.gradient_noise_scale_interval,
        )
        hits += [low <= value <= high for value, (low, high) in zip(truth, intervals, strict=True)]
    assert np.all(hits / n >= 0.95 - 4.0 * math.sqrt(0.05 * 0.95 / n) - 0.01), hits / n


def test_without_signal_the_noise_scale_is_a_lower_bound(rng):
    reading = settled(rng, mean=0.0).reading()
    assert reading.status is NoiseStatus.NO_SIGNAL
    assert math.isinf(reading.gradient_noise_scale_interval[1])
    assert reading.gradient_noise_scale == reading.gradient_noise_scale_interval[0] > 100.0


def test_signal_fraction_is_the_share_of_the_mean_gradient_that_is_signal(rng):
    reading = settled(rng, rows=16, dimension=30, mean=0.2, decay=0.999).reading()
    assert reading.signal_fraction == pytest.approx(1.2 / (1.2 + 30 / 16), rel=0.05)


def test_one_row_steps_fall_back_on_the_change_from_step_to_step(rng):
    estimator = NoiseEstimator(decay=0.999)
    assert estimator.update(rng.normal(size=(1, 40))).reading().status is NoiseStatus.ONE_ROW
    for _ in range(2000):
        estimator.update(0.3 + rng.normal(size=(1, 40)))
    reading = estimator.reading()
    assert reading.source == "steps"
    assert reading.noise_scale == pytest.approx(1.0, rel=0.03)
    assert reading.signal == pytest.approx(40 * 0.09, rel=0.2)


def test_moments_made_elsewhere_give_the_same_reading(rng):
    from nalr.arrays.gradients import as_rows
    from nalr.moments.rows import RowAccumulator

    direct, remote = NoiseEstimator(decay=0.9), NoiseEstimator(decay=0.9)
    for _ in range(30):
        rows = rng.normal(size=(5, 6))
        direct.update(rows)
        accumulator = RowAccumulator()
        accumulator.add_rows(as_rows("rows", rows))
        remote.update_moments(accumulator.moments())
    assert remote.reading() == direct.reading()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_steps_that_are_not_finite_take_no_part(rng, bad):
    clean, dirty = NoiseEstimator(), NoiseEstimator()
    for step in range(12):
        rows = rng.normal(size=(4, 3))
        clean.update(rows)
        dirty.update(rows)
        if step == 5:
            broken = rows.copy()
            broken[2, 1] = bad
            assert dirty.update(broken).reading().status is NoiseStatus.SKIPPED
    assert dirty.reading().nonfinite == 1
    assert dirty.reading().total_variance == clean.reading().total_variance


def test_per_coordinate_mean_and_variance_equal_numpy_over_all_rows(rng):
    estimator = NoiseEstimator(per_coordinate=True)
    everything = []
    for size in (1, 5, 3, 1, 8):
        rows = 1e6 + rng.normal(size=(size, 4))
        everything.append(rows)
        estimator.update(rows)
    stacked = np.vstack(everything)
    np.testing.assert_allclose(estimator.mean, stacked.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(estimator.variance, stacked.var(axis=0, ddof=1), rtol=rounding(stacked))


def test_asking_for_coordinates_without_keeping_them_says_what_to_do():
    with pytest.raises(ValueError, match=r"`variance` must be asked of `NoiseEstimator\(per_coordinate"):
        _ = NoiseEstimator().variance


def test_groups_read_like_estimators_of_their_columns(rng):
    whole = NoiseEstimator(groups={"first": slice(0, 3), "rest": slice(3, None)})
    alone = NoiseEstimator()
    for _ in range(20):
        rows = rng.normal(size=(4, 8)) * ([1.0] * 3 + [5.0] * 5)
        whole.update(rows)
        alone.update(rows[:, 3:])
    groups = whole.reading().groups
    assert groups["rest"] == alone.reading()
    assert groups["first"].noise_scale == pytest.approx(1.0, rel=0.2)


def test_another_shape_is_refused_by_naming_both(rng):
    estimator = NoiseEstimator().update(rng.normal(size=(4, 3)))
    with pytest.raises(ValueError, match=r"must have 3 columns as in earlier updates, got 5\."):
        estimator.update(rng.normal(size=(4, 5)))
    with pytest.raises(ValueError, match=r"must have 3 values as in earlier updates, got 5\."):
        estimator.accumulate(np.ones(5))


def test_a_step_without_rows_is_refused():
    with pytest.raises(ValueError, match="no row was accumulated for this step"):
        NoiseEstimator().update()


def test_merging_different_settings_is_refused_and_changes_nothing(rng):
    estimator = settled(rng, steps=3)
    before = copy.deepcopy(estimator.state_dict())
    with pytest.raises(ValueError, match="`other` must have the same settings"):
        estimator.merge(NoiseEstimator(decay=0.5))
    with pytest.raises(ValueError, match="`other` must have dimension 30 as here, got 2"):
        estimator.merge(NoiseEstimator().update(np.ones((2, 2))))
    assert same(estimator.state_dict(), before)


@pytest.mark.parametrize("cut", [0, 1, 9, 40])
@pytest.mark.parametrize("rows", [1, 4])
def test_resume_is_exact_at_any_cut(rng, cut, rows):
    steps = [rng.normal(size=(rows, 5)) for _ in range(60)]
    settings = {"per_coordinate": True, "groups": {"a": slice(0, 2)}}
    whole, half = NoiseEstimator(**settings), NoiseEstimator(**settings)
    for step in steps:
        whole.update(step)
    for step in steps[:cut]:
        half.update(step)
    resumed = NoiseEstimator(**settings)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    for step in steps[cut:]:
        resumed.update(step)
    assert same(resumed.state_dict(), whole.state_dict())


def test_a_state_of_other_settings_is_refused(rng):
    with pytest.raises(ValueError, match="`state` must have been saved by"):
        NoiseEstimator(decay=0.5).load_state_dict(settled(rng, steps=1).state_dict())


def test_reset_forgets_everything_but_the_settings(rng):
    estimator = settled(rng, decay=0.9)
    estimator.reset()
    assert same(estimator.state_dict(), NoiseEstimator(decay=0.9).state_dict())


def test_groups_and_coordinates_follow_rows_of_any_split(rng):
    settings = {"groups": {"a": slice(0, 2)}, "per_coordinate": True}
    batch, stream, parts = (NoiseEstimator(**settings) for _ in range(3))
    rows = rng.normal(size=(9, 4))
    batch.update(rows)
    for row in rows:
        stream.accumulate(row)
    stream.update()
    parts.merge(NoiseEstimator(**settings).update(rows[:4])).merge(
        NoiseEstimator(**settings).update(rows[4:])
    )
    for other in (stream, parts):
        assert other.reading().groups["a"].total_variance == pytest.approx(
            batch.reading().groups["a"].total_variance, rel=1e-12
        )
        np.testing.assert_allclose(other.mean, rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(other.variance, rows.var(axis=0, ddof=1), rtol=1e-12)


def test_rows_that_are_not_finite_leave_the_coordinates_alone(rng):
    estimator = NoiseEstimator(per_coordinate=True)
    with pytest.raises(ValueError, match="`mean` must be asked after the first finite rows"):
        _ = estimator.mean
    rows = rng.normal(size=(5, 3))
    estimator.update(rows).update(np.full((2, 3), np.nan))
    np.testing.assert_allclose(estimator.mean, rows.mean(axis=0), rtol=1e-12)


def test_merging_workers_pools_their_earlier_steps(rng):
    a, b, whole = NoiseEstimator(decay=0.9), NoiseEstimator(decay=0.9), NoiseEstimator(decay=0.9)
    for _ in range(30):
        rows = rng.normal(size=(8, 5))
        a.update(rows[:4])
        b.update(rows[4:])
        whole.update(rows)
    assert a.merge(b).reading().total_variance == pytest.approx(whole.reading().total_variance, rel=0.05)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: e.merge(3), TypeError, "`other` must be a NoiseEstimator, got int"),
        (
            lambda e: e.update_moments(Moments.from_rows(np.ones((2, 4)))),
            ValueError,
            "`moments` must have dimension 3 as in earlier updates, got 4",
        ),
        (lambda e: e.accumulate(np.ones(3), weight=0.0), ValueError, "`weight` must be positive and finite"),
        (lambda e: e.accumulate(np.ones((1, 3))), ValueError, r"`row` must have shape \(D,\)"),
        (lambda e: e.accumulate(np.ones(3, dtype=int)), TypeError, "`row` must hold floating-point numbers"),
    ],
)
def test_wrong_calls_are_refused_in_one_sentence(rng, call, error, message):
    estimator = NoiseEstimator().update(rng.normal(size=(4, 3)))
    with pytest.raises(error, match=message):
        call(estimator)


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


def test_a_refused_step_changes_nothing(rng):
    estimator = settled(rng, steps=3, rows=4, dimension=3)
    before = copy.deepcopy(estimator.state_dict())
    with pytest.raises(ValueError, match="`weights` must hold one weight for each of the 4 rows, got 2"):
        estimator.update(rng.normal(size=(4, 3)), weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="`moments` must have dimension 3 as in earlier updates, got 4"):
        estimator.update_moments(Moments.from_rows(np.ones((2, 4))))
    assert same(estimator.state_dict(), before)


# -- what the reading says of batch sizes ---------------------------------------------------------------


def test_efficiency_is_mccandlishs_trade_and_its_intervals_cover(rng):
    hits, runs = 0, 400
    for _ in range(runs):
        reading = settled(rng, steps=20, rows=8, dimension=20, mean=0.5).reading()  # noise scale 4
        half, fine = reading.efficiency(4.0), reading.efficiency(64)
        assert half.samples + half.steps == pytest.approx(1.0)
        low, high = half.samples_interval
        assert low <= half.samples <= high
        hits += low <= 0.5 <= high
        assert fine.steps > half.steps
    assert hits / runs == pytest.approx(0.95, abs=3.0 * math.sqrt(0.05 * 0.95 / runs) + 0.01)
    assert reading.efficiency().steps == pytest.approx(reading.signal_fraction)
    assert reading.efficiency().steps_interval == pytest.approx(reading.signal_fraction_interval)
    assert reading.batch_size == 8.0 and reading.confidence == 0.95


def test_efficiency_in_a_case_worked_by_hand():
    # 1000 samples a step at a noise scale of 250: a fifth of what a sample can, four fifths of a step.
    efficiency = batch_efficiency(1000.0, 250.0, (250.0, math.inf))
    assert (efficiency.samples, efficiency.steps) == (0.2, 0.8)
    assert efficiency.samples_interval == (0.2, 1.0)
    assert efficiency.steps_interval == (0.0, 0.8)
    assert str(efficiency).endswith("a step 80 % [0, 80]; even at 250 samples or more")
    assert str(batch_efficiency(1000.0, 250.0, (0.0, math.inf))).endswith("a step 80 %; even at 250 samples")


def test_efficiency_before_data_and_with_wrong_sizes(rng):
    empty = NoiseEstimator().reading()
    assert math.isnan(empty.efficiency(32).samples)
    assert str(empty.efficiency(32)) == "batch 32: nothing is known of the gradient noise scale yet"
    for call in (empty.efficiency, lambda: empty.efficiency(-1.0)):
        with pytest.raises(ValueError, match="`batch_size` must be positive and finite, got"):
            call()
    assert empty.signal_fraction_interval == (0.0, 1.0)
