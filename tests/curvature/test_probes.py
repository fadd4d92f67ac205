from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from nalr.arrays import threads
from nalr.curvature.probe_average import ProbeAverage
from nalr.curvature.probes import CHUNK, normal, rademacher
from nalr.kernels import probes as kernels
from tests.tolerances import rounding

EPS = np.finfo(np.float64).eps
KINDS = [rademacher, normal]
LENGTHS = [1, 63, 64, 65, 1000]
MANY = 1_000_000


@pytest.fixture
def num_threads():
    """`set_num_threads`, undone after the test."""
    yield threads.set_num_threads
    threads.set_num_threads(None)


@pytest.fixture
def hessian(rng):
    matrix = rng.normal(size=(30, 30))
    return matrix + matrix.T


def averaged(hessian, indices, draw=rademacher, seed=0, **settings):
    average = ProbeAverage(**settings)
    for index in indices:
        probe = draw(len(hessian), seed=seed, index=index, dtype=np.float64)
        average.update(probe, hessian @ probe)
    return average


# What is drawn


def test_signs_are_plus_and_minus_one_half_of_the_time_each():
    signs = rademacher(MANY, seed=3, dtype=np.float64)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / math.sqrt(MANY)


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize("lag", [1, 2, 31, 32, 33, 63, 64, 65, 128, 4096])
def test_positions_are_uncorrelated(draw, lag):
    probe = draw(MANY, seed=3, dtype=np.float64)
    assert abs(np.mean(probe[lag:] * probe[:-lag])) < 4 / math.sqrt(MANY - lag)


@pytest.mark.parametrize("draw", KINDS)
def test_every_bit_of_a_word_is_fair_and_independent_of_the_others(draw):
    # The 64 x 64 correlations between places within a block: 2016 pairs, so 5 standard errors.
    blocks = draw(64 * 20_000, seed=5, dtype=np.float64).reshape(-1, 64)
    error = 5 / math.sqrt(len(blocks))
    assert np.all(abs(blocks.mean(axis=0)) < error)
    correlations = blocks.T @ blocks / len(blocks)
    assert np.all(abs(correlations[~np.eye(64, dtype=bool)]) < error)


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize(
    "others",
    [
        [{"seed": 7, "index": index} for index in range(1, 41)],
        [{"seed": seed, "index": 0} for seed in range(8, 48)],
        [{"seed": 7 + 2**k, "index": 0} for k in range(40)],
        [{"seed": 7, "index": 2**k} for k in range(40)],
        [{"seed": 7 + k, "index": k} for k in range(1, 41)],
    ],
    ids=["indices", "seeds", "bits of the seed", "bits of the index", "both"],
)
def test_probes_of_other_indices_and_seeds_are_uncorrelated(draw, others):
    size = 20_000
    probes = np.array([draw(size, dtype=np.float64, **key) for key in [{"seed": 7, "index": 0}, *others]])
    correlations = probes @ probes.T / size
    # 820 pairs, so 5 standard errors.
    assert np.all(abs(correlations[~np.eye(len(probes), dtype=bool)]) < 5 / math.sqrt(size))


@pytest.mark.parametrize("draw", [rademacher, normal])
def test_no_block_of_a_probe_is_the_same_for_every_seed(draw):
    # Once key i was the word of counter i + 1: block i + 1 of the signs was all ones, whatever the seed.
    dim, indices = 1024, (0, 1, 5, 15, 2**40)
    probes = np.array([[draw(dim, seed=s, index=i, dtype=np.float64) for s in range(200)] for i in indices])
    blocks = np.abs(probes.mean(axis=1).reshape(len(indices), -1, 64).mean(axis=2))  # means of 12 800 values
    assert blocks.max() < 5.0 / math.sqrt(200 * 64)
    squares = probes.sum(axis=2).ravel() ** 2 / dim
    assert squares.mean() == pytest.approx(1.0, abs=4.0 * math.sqrt(2.0 / squares.size))


def test_probes_do_not_overlap_at_any_shift():
    # Stretches of one sequence, as a single SplitMix64 gives them, would have a correlation of 1 somewhere.
    first, second = (rademacher(2**16, seed=1, index=index, dtype=np.float64) for index in (0, 1))
    shifted = np.fft.irfft(np.fft.rfft(first) * np.conj(np.fft.rfft(second))) / first.size
    assert abs(shifted).max() < 6 / math.sqrt(first.size)  # the largest of 65 536


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_moments_of_normals_are_those_of_the_distribution(power):
    values = normal(MANY, seed=2, dtype=np.float64) ** power
    expected = stats.norm.moment(power)
    assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(MANY)


@pytest.mark.parametrize("seed", range(5))
def test_normals_pass_kolmogorov_and_smirnov(seed):
    assert stats.kstest(normal(200_000, seed=seed, dtype=np.float64), "norm").pvalue > 1e-3


def test_normals_of_a_pair_are_independent_in_size_too():
    blocks = normal(64 * 20_000, seed=4, dtype=np.float64).reshape(-1, 2, 32)
    first, second = blocks[:, 0].ravel() ** 2 - 1, blocks[:, 1].ravel() ** 2 - 1
    assert abs(np.mean(first * second)) < 4 * 2 / math.sqrt(first.size)


def test_the_tails_of_normals_are_there():
    values = abs(normal(10 * MANY, seed=1))
    assert np.isfinite(values).all()
    for bound in (3.0, 4.0, 5.0):
        expected = 10 * MANY * 2 * stats.norm.sf(bound)
        assert abs(np.sum(values > bound) - expected) < 4 * math.sqrt(expected) + 1


def test_the_largest_normal_comes_from_the_smallest_uniform_number():
    most, least = np.uint64(2**64 - 1), np.uint64(0)
    assert kernels.normal_radius(most) == pytest.approx(math.sqrt(2 * 52 * math.log(2)), rel=4 * EPS)
    assert kernels.normal_radius(least) == 0.0


def test_logarithm_sine_and_cosine_equal_those_of_numpy(rng):
    values = np.concatenate([1.0 - rng.random(2000), 2.0 ** -np.arange(53), 1.0 - np.arange(1, 9) * EPS])
    logarithms = [kernels.log(value) for value in values]
    np.testing.assert_allclose(logarithms, np.log(values), rtol=4 * EPS)
    angles = np.linspace(-np.pi / 4, np.pi / 4, 2001)
    pairs = np.array([kernels.sine_cosine(angle) for angle in angles])
    np.testing.assert_allclose(pairs, np.stack([np.sin(angles), np.cos(angles)], axis=1), rtol=4 * EPS)


# Where it is drawn plays no part


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_same_seed_gives_the_same_bits_and_a_shorter_probe_begins_the_longer(draw, length):
    probe = draw(length, seed=11, index=5)
    np.testing.assert_array_equal(probe, draw(length, seed=11, index=5))
    np.testing.assert_array_equal(probe, draw(2000, seed=11, index=5)[:length])


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_float32_and_float64_agree(draw, length):
    np.testing.assert_array_equal(draw(length, seed=1), np.float32(draw(length, seed=1, dtype=np.float64)))


@pytest.mark.parametrize("draw", KINDS)
def test_any_number_of_threads_gives_the_same_bits(draw, num_threads):
    probes = []
    for number in (1, 2, 3):
        num_threads(number)
        probes.append(draw(3 * CHUNK + 77, seed=1, index=2))
    np.testing.assert_array_equal(probes[0], probes[1])
    np.testing.assert_array_equal(probes[0], probes[2])


@pytest.mark.parametrize("kernel", [kernels.rademacher, kernels.normal])
@pytest.mark.parametrize("width", [1, 7, 63, 64, 65, 100, 500])
def test_any_split_into_ranges_gives_the_same_bits(kernel, width):
    seed, index = np.uint64(2**64 - 1), np.uint64(3)
    whole, parts = np.empty(1000), np.empty(1000)
    kernel(whole, seed, index, 0)
    for begin in range(0, 1000, width):
        kernel(parts[begin : begin + width], seed, index, begin)
    np.testing.assert_array_equal(parts, whole)


def test_positions_beyond_two_thousand_million_are_their_own():
    far, near = np.empty(128), np.empty(128)
    kernels.rademacher(far, np.uint64(0), np.uint64(0), 2**40)
    kernels.rademacher(near, np.uint64(0), np.uint64(0), 0)
    assert not np.array_equal(far, near)


@pytest.mark.parametrize("kernel", [kernels.rademacher, kernels.normal])
@pytest.mark.parametrize("length", LENGTHS)
def test_interpreted_equals_compiled(kernel, length):
    seed, index = np.uint64(9), np.uint64(1)
    compiled, interpreted = np.empty(length), np.empty(length)
    kernel(compiled, seed, index, 5)
    kernel.py_func(interpreted, seed, index, 5)
    np.testing.assert_array_equal(interpreted, compiled)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [(kernels.mix, 1), (kernels.start_of, 1), (kernels.key_of, 2), (kernels.random_word, 3)],
)
def test_interpreted_words_equal_compiled(rng, kernel, words):
    for _ in range(50):
        numbers = rng.integers(0, 2**64, size=words, dtype=np.uint64)
        with np.errstate(over="ignore"):  # words wrap around; numpy's scalars warn of it
            assert int(kernel.py_func(*numbers)) == int(kernel(*numbers))


def test_words_are_those_of_splitmix64():
    # The first two outputs of the published generator with seed 1234567.
    state = 1234567
    outputs = []
    for _ in range(2):
        state = (state + int(kernels.GOLDEN)) % 2**64
        outputs.append(int(kernels.mix(np.uint64(state))))
    assert outputs == [6457827717110365317, 3203168211198807973]


# The door


@pytest.mark.parametrize("draw", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_out_is_written_and_returned(draw, dtype):
    out = np.empty(100, dtype=dtype)
    assert draw(100, seed=0, out=out) is out
    np.testing.assert_array_equal(out, draw(100, seed=0, dtype=dtype))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dim": 0}, ValueError, "`dim` must be a whole number of at least 1, got 0."),
        ({"seed": -1}, ValueError, "`seed` must be a whole number of at least 0, got -1."),
        ({"seed": 2**64}, ValueError, r"`seed` must be below 2\*\*64, got 18446744073709551616."),
        ({"index": 1.0}, TypeError, "`index` must be a whole number of at least 0, got 1.0."),
        ({"dtype": np.float16}, TypeError, "`dtype` must be float32 or float64, got float16."),
        ({"out": np.empty(4, np.int64)}, TypeError, "`out` must hold float32 or float64, got dtype int64."),
        (
            {"out": np.empty(5)},
            ValueError,
            r"`out` must be a contiguous, writable array of shape \(4,\), got ",
        ),
        ({"out": np.empty(8)[::2]}, ValueError, "`out` must be a contiguous, writable array of shape "),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, error, message):
    with pytest.raises(error, match=message):
        rademacher(**{"dim": 4, "seed": 0, **arguments})


def test_each_kernel_compiles_once_for_each_type():
    for dtype in (np.float32, np.float64):
        for seed in (0, np.int32(5), 2**63 + 1):
            rademacher(10, seed=seed, dtype=dtype)
            rademacher(10, seed=seed, index=np.uint8(1), dtype=dtype)
    before = len(kernels.rademacher.signatures)
    rademacher(3 * CHUNK, seed=2**64 - 1, index=2**64 - 1)
    assert len(kernels.rademacher.signatures) == before


def test_importing_probes_does_not_import_numba():
    program = (
        "import sys, nalr.curvature.probe_average as p; p.ProbeAverage(); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# Hutchinson's estimators


@pytest.mark.parametrize("draw", KINDS)
def test_mean_and_variance_equal_those_of_numpy_over_the_list_of_products(hessian, draw):
    probes = np.array([draw(30, seed=0, index=index, dtype=np.float64) for index in range(50)])
    values = probes * (probes @ hessian)
    average = averaged(hessian, range(50), draw, diagonal=True)
    tolerance = rounding(values)
    assert average.count == 50
    assert average.trace == pytest.approx(values.sum(axis=1).mean(), rel=tolerance)
    error = values.sum(axis=1).std(ddof=1) / math.sqrt(50)
    assert average.trace_standard_error == pytest.approx(error, rel=tolerance)
    np.testing.assert_allclose(average.diagonal, values.mean(axis=0), atol=tolerance * abs(values).max())
    errors = values.std(axis=0, ddof=1) / math.sqrt(50)
    np.testing.assert_allclose(average.diagonal_standard_error, errors, rtol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_signs_give_a_diagonal_matrix_exactly_from_one_probe_on(rng, dtype):
    exact = rng.normal(size=200).astype(dtype)
    average = ProbeAverage(diagonal=True)
    for index in range(5):
        probe = rademacher(200, seed=0, index=index, dtype=dtype)
        average.update(probe, exact * probe)
    np.testing.assert_array_equal(average.diagonal, exact)
    np.testing.assert_array_equal(average.diagonal_standard_error, 0.0)
    assert average.trace == pytest.approx(float(np.sum(exact, dtype=np.float64)), abs=200 * EPS * 200)
    assert average.trace_standard_error == 0.0


def test_normals_do_not(rng):
    exact = rng.normal(size=200)
    average = averaged(np.diag(exact), range(5), normal, diagonal=True)
    assert average.trace_standard_error > 0.0


@pytest.mark.parametrize("draw", KINDS)
def test_trace_and_diagonal_are_unbiased(hessian, draw):
    average = averaged(hessian, range(4000), draw, diagonal=True)
    assert abs(average.trace - np.trace(hessian)) < 4 * average.trace_standard_error
    assert np.all(abs(average.diagonal - np.diag(hessian)) < 4.5 * average.diagonal_standard_error)


@pytest.mark.parametrize("draw", KINDS)
def test_variance_is_the_one_of_theory(hessian, draw):
    average = averaged(hessian, range(4000), draw)
    squares = hessian**2 if draw is normal else hessian**2 - np.diag(np.diag(hessian) ** 2)
    # The relative error of a variance over n values is √(2/n) for normal ones; twice that for these.
    variance = average.trace_standard_error**2 * average.count
    assert variance == pytest.approx(2 * squares.sum(), rel=4 * 2 * math.sqrt(2 / 4000))


@pytest.mark.parametrize("split", [0, 1, 7, 49, 50])
@pytest.mark.parametrize("diagonal", [False, True])
def test_merge_equals_single_pass(hessian, split, diagonal):
    whole = averaged(hessian, range(50), diagonal=diagonal)
    parts = averaged(hessian, range(split), diagonal=diagonal)
    assert parts.merge(averaged(hessian, range(split, 50), diagonal=diagonal)) is parts
    assert parts.count == 50
    tolerance = 50 * 30 * EPS
    assert parts.trace == pytest.approx(whole.trace, rel=tolerance, abs=tolerance)
    assert parts.trace_standard_error == pytest.approx(whole.trace_standard_error, rel=tolerance)
    np.testing.assert_allclose(parts.diagonal, whole.diagonal, rtol=tolerance, atol=tolerance * 10)
    np.testing.assert_allclose(parts.diagonal_standard_error, whole.diagonal_standard_error, rtol=tolerance)


def test_an_offset_does_not_hide_the_variance(rng):
    noise = rng.normal(size=(400, 20))
    average = ProbeAverage(diagonal=True)
    for row in noise:
        average.update(np.ones(20), 1e8 + row)
    rows = 1e8 + noise
    errors = noise.std(axis=0, ddof=1) / 20
    np.testing.assert_allclose(average.diagonal_standard_error, errors, rtol=rounding(rows))
    # The mean of squares less square of the mean has no digit left.
    naive = (rows * rows).mean(axis=0) - rows.mean(axis=0) ** 2
    assert np.any(abs(naive / noise.var(axis=0) - 1) > 0.5)


def test_any_number_of_threads_gives_the_same_average(num_threads):
    size = 2 * CHUNK + 5
    results = []
    for number in (1, 2, 3):
        num_threads(number)
        average = ProbeAverage(diagonal=True)
        for index in range(3):
            probe = rademacher(size, seed=0, index=index)
            average.update(probe, normal(size, seed=1, index=index))
        average.merge(average)
        results.append((average.trace, average.trace_standard_error, average.diagonal))
    for other in results[1:]:
        assert other[:2] == results[0][:2]
        np.testing.assert_array_equal(other[2], results[0][2])


def test_state_is_updated_in_place(hessian):
    average = averaged(hessian, range(1), diagonal=True)
    before = average._diagonal, average._diagonal_m2
    probe = rademacher(30, seed=1, dtype=np.float64)
    average.update(probe, hessian @ probe)
    average.merge(averaged(hessian, range(3), diagonal=True))
    assert average._diagonal is before[0]
    assert average._diagonal_m2 is before[1]


@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float64, np.float64), (np.float32, float)])
def test_one_step_serves_both_estimators(rng, dtypes):
    probe, product = (rng.normal(size=1001).astype(dtype) for dtype in dtypes)
    values = probe.astype(float) * product
    for step in (kernels.hutchinson_step, kernels.hutchinson_step.py_func):
        mean, m2 = np.zeros(1001), np.zeros(1001)
        value = step(mean, m2, 0, probe, product)
        assert value == pytest.approx(values.sum(), abs=1001 * EPS * abs(values).sum())
        np.testing.assert_allclose(mean, values, rtol=2 * EPS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_product_that_is_not_finite_is_counted_and_changes_nothing_else(hessian, bad):
    average = averaged(hessian, range(5), diagonal=True)
    before = average.state_dict()
    product = np.ones(30)
    product[[3, 17]] = bad, -bad
    assert not math.isfinite(average.update(np.ones(30), product))
    after = average.state_dict()
    assert after.pop("nonfinite") == before.pop("nonfinite") + 1
    np.testing.assert_equal(after, before)


def test_before_there_are_enough_probes_there_is_no_number(hessian):
    average = ProbeAverage(diagonal=True)
    assert math.isnan(average.trace) and math.isnan(average.trace_standard_error)
    assert average.diagonal.size == 0
    probe = rademacher(30, seed=0, dtype=np.float64)
    average.update(probe, hessian @ probe)
    assert average.trace == pytest.approx(probe @ hessian @ probe, abs=900 * EPS * abs(hessian).max())
    assert math.isnan(average.trace_standard_error) and np.isnan(average.diagonal_standard_error).all()


@pytest.mark.parametrize("diagonal", [False, True])
def test_resuming_gives_the_same_bits_and_reset_a_fresh_average(hessian, diagonal):
    whole, first = (averaged(hessian, range(n), diagonal=diagonal) for n in (9, 4))
    second = ProbeAverage(diagonal=diagonal)
    second.load_state_dict(first.state_dict())
    for index in range(4, 9):
        probe = rademacher(30, seed=0, index=index, dtype=np.float64)
        second.update(probe, hessian @ probe)
    np.testing.assert_equal(second.state_dict(), whole.state_dict())
    second.reset()
    np.testing.assert_equal(second.state_dict(), ProbeAverage(diagonal=diagonal).state_dict())


def test_state_dict_is_a_copy_and_survives_json(hessian):
    average = averaged(hessian, range(4), diagonal=True)
    saved = average.state_dict()
    text = json.dumps(saved, default=np.ndarray.tolist)
    average._diagonal[:] = 0.0
    assert np.all(saved["diagonal"] != 0.0)
    again = ProbeAverage(diagonal=True)
    again.load_state_dict(json.loads(text))
    np.testing.assert_equal(again.state_dict(), saved)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda a: a.update(np.ones(3), np.ones(4)), ValueError, r"must have the same shape, \(3,\), got "),
        (
            lambda a: a.update([1, 2], [1, 2]),
            TypeError,
            "`probe` must hold float32 or float64, got dtype int64.",
        ),
        (lambda a: a.update(np.ones((2, 2)), np.ones(4)), ValueError, r"`probe` must have shape \(D,\)"),
        (
            lambda a: a.merge(ProbeAverage()),
            ValueError,
            r"`other` must be like ProbeAverage\(diagonal=True\)",
        ),
        (
            lambda a: a.load_state_dict({}),
            ValueError,
            r"`state` must have been saved by ProbeAverage\(diagonal=True\), got one of None",
        ),
        (
            lambda a: a.load_state_dict(ProbeAverage().state_dict()),
            ValueError,
            r"saved by ProbeAverage\(diagonal=True\), got one of 'ProbeAverage\(diagonal=False\)'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(action, error, message):
    with pytest.raises(error, match=message):
        action(ProbeAverage(diagonal=True))


def test_a_diagonal_of_another_length_is_refused(hessian):
    average = averaged(hessian, range(2), diagonal=True)
    with pytest.raises(
        ValueError, match=r"must have the same shape as before, \(30,\), got \(4,\) and \(4,\)."
    ):
        average.update(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match="`other` must have a diagonal of length 30, got 4."):
        average.merge(averaged(np.eye(4), range(1), diagonal=True))
