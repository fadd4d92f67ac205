"""Every form in which rows may come gives the sums of the plain array, and none is copied whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import nalr
from nalr import Moments, NoiseAdaptiveLR, NoiseEstimator
from nalr.arrays.gradients import as_rows, as_vector
from nalr.moments.record import squared_norm
from tests.oracles import exact_moments, naive_sum_squares
from tests.tolerances import rounding

torch = pytest.importorskip("torch")

ROWS = np.random.default_rng(3).normal(size=(31, 70_001)).astype(np.float32)
HALF = ROWS.astype(np.float16)
BRAIN = torch.from_numpy(ROWS).bfloat16()


def tall(rows):
    """Return `rows` as every second row, and a column window, of a larger array."""
    larger = np.zeros((2 * len(rows), rows.shape[1] + 7), rows.dtype)
    larger[::2, 3:-4] = rows
    return larger[::2, 3:-4]


def in_layers(rows):
    return [rows[:, :60_000].reshape(31, 20, -1), rows[:, 60_000:60_001], rows[:, 60_001:]]


def every_second(rows):
    return np.repeat(rows, 2, axis=1)[:, ::2]


FORMS = {
    "strided": (tall(ROWS), ROWS),
    "fortran": (np.asfortranarray(ROWS), ROWS),
    "fortran with gaps": (np.asfortranarray(np.repeat(ROWS, 2, axis=1))[:, ::2], ROWS),
    "every second column": (every_second(ROWS), ROWS),
    "reversed": (ROWS[::-1, ::-1], ROWS[::-1, ::-1].copy()),
    "big-endian": (ROWS.astype(">f4"), ROWS),
    "longdouble": (ROWS.astype(np.longdouble), ROWS),
    "one row repeated": (np.broadcast_to(ROWS[:1], ROWS.shape), np.repeat(ROWS[:1], 31, axis=0)),
    "layers": (in_layers(ROWS), ROWS),
    "layers of half": (in_layers(HALF), HALF),
    "float64": (ROWS.astype(np.float64), ROWS),
    "float16": (HALF, HALF),
    "float16 strided": (tall(HALF), HALF),
    "float16 every second column": (every_second(HALF), HALF),
    "tensor": (torch.from_numpy(ROWS).requires_grad_(), ROWS),
    "half tensor": (torch.from_numpy(HALF), HALF),
    "bfloat16 tensor": (BRAIN, BRAIN.float().numpy()),
    "bfloat16 tensor, strided": (BRAIN.repeat(1, 2)[:, : ROWS.shape[1]], BRAIN.float().numpy()),
    "bfloat16 layers": ([BRAIN[:, :5], BRAIN[:, 5:].reshape(31, 4, -1)], BRAIN.float().numpy()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_sums_of_the_plain_array(name):
    form, plain = FORMS[name]
    plain = np.asarray(plain, dtype=np.float64)
    mean = plain.mean(axis=0)
    record = Moments.from_rows(form)
    assert (record.num_rows, record.dimension, record.nonfinite) == (31, 70_001, 0)
    tolerance = rounding(ROWS)
    assert record.sum_squares == pytest.approx(((plain - mean) ** 2).sum(), rel=tolerance, abs=1e-12)
    assert record.mean_squared_norm == pytest.approx(mean @ mean, rel=tolerance)
    weights = np.arange(1.0, 32.0)
    weighted = Moments.from_rows(form, weights)
    centre = weights @ plain / weights.sum()
    spread = (weights @ (plain - centre) ** 2).sum()
    assert weighted.sum_squares == pytest.approx(spread, rel=tolerance, abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_every_form_drives_estimator_and_controller_alike(name):
    form, plain = FORMS[name]
    plain = np.asarray(plain, dtype=np.float32)
    variance = NoiseEstimator().compute_variance(form)
    np.testing.assert_allclose(variance, plain.var(axis=0, ddof=1, dtype=np.float64), rtol=1e-5, atol=1e-9)
    by_form, by_array = NoiseAdaptiveLR(0.1), NoiseAdaptiveLR(0.1)
    for loss in (3.0, 2.0, 1.0):
        by_form.get_adapted_lr(form, loss)
        by_array.get_adapted_lr(plain, loss)
    assert by_form.lr == pytest.approx(by_array.lr, rel=1e-4)


@pytest.mark.slow
def test_layers_of_parameters_follow_the_layers_of_gradients(rng):
    steps = [rng.normal(size=(4, 50)) for _ in range(6)]
    whole, layers = NoiseAdaptiveLR(0.1), NoiseAdaptiveLR(0.1)
    params = np.ones(50)
    for rows in steps:
        whole.get_adapted_lr(rows, 1.0, params)
        cut = [rows[:, :20].reshape(4, 4, 5), rows[:, 20:]]
        layers.get_adapted_lr(cut, 1.0, [params[:7], params[7:].reshape(1, 43)])
        params = params - 0.05 * rows.mean(axis=0)
    assert layers.lr == pytest.approx(whole.lr, rel=1e-12)
    assert layers.last_decision.evidence == pytest.approx(whole.last_decision.evidence, rel=1e-9, nan_ok=True)


def test_rows_one_at_a_time_may_come_in_layers_too(rng):
    rows = rng.normal(size=(5, 30)).astype(np.float16)
    whole, layers = (
        NoiseEstimator(groups={"end": slice(25, 30)}),
        NoiseEstimator(groups={"end": slice(25, 30)}),
    )
    whole.update(rows)
    for row in rows:
        layers.accumulate([row[:12].reshape(3, 4), row[12:]])
    assert layers.update().reading().total_variance == pytest.approx(whole.reading().total_variance, rel=1e-6)
    ends = [estimator.reading().groups["end"].total_variance for estimator in (layers, whole)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", ["strided", "fortran", "layers", "bfloat16 tensor"])
def test_every_number_of_threads_gives_the_same_bits(name, count):
    form, _ = FORMS[name]
    expected = Moments.from_rows(form)
    nalr.set_num_threads(count)
    try:
        assert Moments.from_rows(form) == expected
    finally:
        nalr.set_num_threads(None)


@pytest.mark.parametrize("name", [name for name in FORMS if name != "layers of half"])
def test_no_form_is_copied_whole(name):
    form, plain = FORMS[name]
    Moments.from_rows(form)
    tracemalloc.start()
    try:
        Moments.from_rows(form)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    copied_by_windows = ("every second", "reversed", "endian", "longdouble", "repeated", "with gaps")
    # Windows of 32768 columns: on two threads the copies of two of them, each at most 16 bytes a value.
    limit = 2.2 * 31 * 32768 * 16 if any(part in name for part in copied_by_windows) else 20_000
    assert peak < limit


@pytest.mark.parametrize(
    ("dtype", "offset"), [(np.float32, 1e4), (np.float32, 1e8), (np.float64, 1e8), (np.float16, 1e3)]
)
@pytest.mark.parametrize("num_rows", [3, 7, 40])
def test_an_offset_costs_no_more_than_the_rows_own_rounding(rng, dtype, offset, num_rows):
    rows = (offset + rng.normal(size=(num_rows, 40))).astype(dtype)
    spread, norm = exact_moments(rows)  # of the rows as they are stored
    record = Moments.from_rows(rows)
    assert record.sum_squares == pytest.approx(spread, rel=rounding(rows))
    assert record.mean_squared_norm == pytest.approx(norm, rel=1e-6)
    if offset >= 1e4:  # float32 at 1e8 has steps of 8: all rows may be equal, and the spread exactly 0
        assert spread == 0.0 or abs(naive_sum_squares(rows) / spread - 1.0) > 0.01


@pytest.mark.parametrize("size", [1e-30, 1e-24, 1e20, 1e30])
def test_float32_squares_neither_vanish_nor_overflow(rng, size):
    rows = (size * rng.normal(size=(9, 30))).astype(np.float32)
    assert Moments.from_rows(rows).sum_squares == pytest.approx(exact_moments(rows)[0], rel=rounding(rows))
    with np.errstate(all="ignore"):
        assert not 0.5 < naive_sum_squares(rows) / exact_moments(rows)[0] < 2.0


@pytest.mark.parametrize("bits", [np.float16, "bfloat16"])
def test_every_16_bit_value_is_read_exactly(bits):
    every = np.arange(65536, dtype=np.uint16)
    exact = every.view(np.float16) if bits is np.float16 else (every.astype(np.uint32) << 16).view(np.float32)
    finite = np.flatnonzero(np.isfinite(exact))
    values = torch.from_numpy(every.view(np.int16)).view(torch.bfloat16)
    for index in finite[:: 97 if bits is np.float16 else 131]:
        given = exact[index : index + 1] if bits is np.float16 else values[index : index + 1]
        assert squared_norm(given) == float(exact[index]) ** 2
    bad = [index for index in range(65536) if not np.isfinite(exact[index])]
    row = exact[bad] if bits is np.float16 else values[bad]
    assert Moments.from_rows(row.reshape(1, -1)).nonfinite == len(bad)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.ones((2, 3), int), TypeError, r"`g` must hold floating-point numbers, got dtype int64"),
        (torch.ones(2, 3).int(), TypeError, r"`g` must hold floating-point numbers, got dtype int32"),
        (np.ones((2, 3), np.int16), TypeError, r"got dtype int16"),
        (np.ones(3), ValueError, r"`g` must have shape \(B, D\), .* Use `.reshape\(1, -1\)` for one row\."),
        (np.ones((0, 3)), ValueError, r"at least one row and one column, got shape \(0, 3\)"),
        ([np.ones((2, 3)), np.ones((3, 1))], ValueError, r"the same B at least 1, got \(2, 3\), \(3, 1\)\."),
        (np.ones((2, 4)), ValueError, r"`g` must have 3 columns as in earlier updates, got 4\."),
        (
            [np.ones((2, 4)), np.ones((2, 1))],
            ValueError,
            r"must have 3 columns as in earlier updates, got 5\.",
        ),
        (torch.ones(2, 3, device="meta"), TypeError, r"must be on the CPU, got a tensor on meta"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(value, error, message):
    with pytest.raises(error, match=message):
        as_rows("g", value, 3)


def test_a_vector_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"`p` must have 3 values as in earlier updates, got 4\."):
        as_vector("p", np.ones(4), 3)
    with pytest.raises(ValueError, match=r"`p` must have shape \(D,\)"):
        as_vector("p", np.ones((2, 2)))


def test_a_step_that_is_not_finite_leaves_the_path_where_it_was(rng):
    steps = [rng.normal(size=(4, 20)) for _ in range(8)]
    with_gap, without = NoiseAdaptiveLR(0.1), NoiseAdaptiveLR(0.1)
    for index, rows in enumerate(steps):
        with_gap.get_adapted_lr(rows, 1.0)
        without.get_adapted_lr(rows, 1.0)
        if index == 3:
            bad = rows.copy()
            bad[2, 5] = np.nan
            with_gap.get_adapted_lr(bad, 1.0)
    for name in ("displacement", "mean_displacement"):
        got, expected = getattr(with_gap._path, name), getattr(without._path, name)
        assert np.isfinite(got).all()
        assert np.corrcoef(got, expected)[0, 1] > 0.99


def test_a_path_in_float32_takes_half_of_the_memory_and_leads_to_the_same_rate(rng):
    steps = [rng.normal(size=(4, 2000)) + 0.3 for _ in range(200)]
    full, half = NoiseAdaptiveLR(0.001), NoiseAdaptiveLR(0.001, path_dtype="float32")
    for rows in steps:
        full.get_adapted_lr(rows, 1.0)
        half.get_adapted_lr(rows, 1.0)
    assert half._path.displacement.nbytes * 2 == full._path.displacement.nbytes
    assert half.lr == pytest.approx(full.lr, rel=1e-4)
    resumed = NoiseAdaptiveLR(0.001, path_dtype="float32")
    resumed.load_state_dict(half.state_dict())
    assert resumed.get_adapted_lr(steps[0], 1.0) == half.get_adapted_lr(steps[0], 1.0)
    with pytest.raises(ValueError, match=r"`path_dtype` must be one of float64, float32, got 'int8'\."):
        NoiseAdaptiveLR(0.1, path_dtype="int8")


def test_the_controller_holds_three_vectors_and_makes_none_in_a_step(rng):
    rows = rng.normal(size=(4, 100_000)).astype(np.float32)
    controller = NoiseAdaptiveLR(0.1)
    tracemalloc.start()
    try:
        controller.get_adapted_lr(rows, 1.0)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        controller.get_adapted_lr(rows, 1.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    vector = 8 * 100_000
    assert held < 3.4 * vector
    assert peak - held < 0.4 * vector  # a chunk's mean for each thread, whatever the length
