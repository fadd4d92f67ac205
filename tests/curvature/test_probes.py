"""Random probes: their distribution, and that place and threads play no part."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nalr.curvature.probes import CHUNK, normal, rademacher
from nalr.kernels import probes as kernels
from tests.curvature.cases import EPS, KINDS, LENGTHS, MANY
from tests.helpers import run_python


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


# Input checks


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


@pytest.mark.slow
def test_importing_probes_does_not_import_numba():
    program = (
        "import sys, nalr.curvature.probe_average as p; p.ProbeAverage(); sys.exit('numba' in sys.modules)"
    )
    assert run_python("-c", program).returncode == 0
