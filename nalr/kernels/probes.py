"""Random probes v of a matrix H: generators, and the running mean and variance of vᵀHv and v ⊙ Hv.

The value at a position is a function of (seed, index of the probe, position) and of nothing before it, so
any range of columns can be written on any thread; a generator with a state must run through them in order.

Bits are the finaliser of SplitMix64 (Steele, Lea & Flood 2014, with Stafford's constants), applied twice: to
a counter, and to that mixed with a key of the probe. Once, as published, all probes would be stretches of
one sequence of 2⁶⁴ words, and two of them could overlap. Philox (Salmon et al. 2011) is the counter-based
generator that others use, at ten multiplications a word against four. Limits: one probe never draws the same
word for two blocks, which chance would do once in some 2³² blocks; `tests/curvature/test_probes.py` tests
what Hutchinson's estimators need (means, correlations, moments), not the batteries of TestU01; and it is not
for cryptography.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nalr.kernels._jit import jit, reassociating

Array = NDArray[Any]
Word = np.uint64
# Every integer that is mixed is made a word: numba takes the sum of uint64 and int64 for a float, and hands
# words to Python as plain integers.

GOLDEN = Word(0x9E3779B97F4A7C15)
FIRST = Word(0xBF58476D1CE4E5B9)
SECOND = Word(0x94D049BB133111EB)

BLOCK = 64
"""Positions that share a word of signs, or a block of pairs of normals."""

NORMALS = Word(1 << 63)
"""Where the counters of normals begin, so that they share no word with signs."""

KEYS = Word(1 << 62)
"""The counter whose word the counters of keys start from. Had they the start of the words themselves, key i
would be the word of counter i + 1, and the two would cancel there to a block without chance."""

ONE = Word(0x3FF0000000000000)
"""Bits of 1.0; with the 52 below them random, a float in [1, 2)."""

HALF_ROOT = np.int64(0x3FE6A09E667F3BCD)
"""Bits of √½."""


@jit
def mix(word: Word) -> Word:
    """Return `word` with every bit spread over all: a bijection."""
    word = (word ^ (word >> Word(30))) * FIRST
    word = (word ^ (word >> Word(27))) * SECOND
    return word ^ (word >> Word(31))


@jit
def start_of(seed: int) -> Word:
    """Return where the counter of `seed` starts."""
    return mix(Word(seed) + GOLDEN)


@jit
def key_of(start: Word, index: int) -> Word:
    """Return the key of probe `index`."""
    return mix(Word(mix(start + KEYS * GOLDEN)) + (Word(index) + Word(1)) * GOLDEN)


@jit
def random_word(start: Word, key: Word, counter: Word) -> Word:
    """Return 64 random bits."""
    return mix(Word(mix(start + counter * GOLDEN)) ^ key)


@jit
def write_signs(out: Array, word: Word, first: int) -> None:
    """Write a sign of `word` to each of `out`, from bit `first` on."""
    for j in range(out.size):
        # A choice of two constants becomes a mask and a blend: as fast as OR-ing the bit into that of 1.0,
        # without a view of `out` as integers.
        out[j] = -1.0 if (word >> Word(first + j)) & Word(1) else 1.0


@jit
def rademacher(out: Array, seed: int, index: int, begin: int) -> None:
    """Write positions `begin` and on of a probe of random signs, each 1 or -1, to `out` (D,)."""
    start = Word(start_of(seed))
    key = Word(key_of(start, index))
    j = 0
    while j < out.size:
        block, first = divmod(begin + j, BLOCK)
        stop = min(j + BLOCK - first, out.size)
        word = Word(random_word(start, key, Word(block)))
        write_signs(out[j:stop], word, first)
        j = stop


@jit
def log(value: float) -> float:
    """Return the natural logarithm of a positive normal number, within 2 units of the last place.

    By log m = 2 artanh((m - 1)/(m + 1)), m in [√½, √2). This and `sine_cosine` are here because calls of the
    C library are not vectorised, and take five times as long as the rest.
    """
    bits = np.float64(value).view(np.int64)
    exponent = (bits - HALF_ROOT) >> np.int64(52)
    m = np.int64(bits - (exponent << np.int64(52))).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 1 / 21
    series = 1 / 19 + z * series
    series = 1 / 17 + z * series
    series = 1 / 15 + z * series
    series = 1 / 13 + z * series
    series = 1 / 11 + z * series
    series = 1 / 9 + z * series
    series = 1 / 7 + z * series
    series = 1 / 5 + z * series
    series = 1 / 3 + z * series
    return exponent * math.log(2.0) + (2.0 * s + 2.0 * s * z * series)


@jit
def sine_cosine(angle: float) -> tuple[float, float]:
    """Return sine and cosine of an angle in [-π/4, π/4]: their Taylor series, to the last place."""
    z = angle * angle
    sine = 1.0 - (1 / 210) * z
    sine = 1.0 - (1 / 156) * z * sine
    sine = 1.0 - (1 / 110) * z * sine
    sine = 1.0 - (1 / 72) * z * sine
    sine = 1.0 - (1 / 42) * z * sine
    sine = 1.0 - (1 / 20) * z * sine
    sine = 1.0 - (1 / 6) * z * sine
    cosine = 1.0 - (1 / 240) * z
    cosine = 1.0 - (1 / 182) * z * cosine
    cosine = 1.0 - (1 / 132) * z * cosine
    cosine = 1.0 - (1 / 90) * z * cosine
    cosine = 1.0 - (1 / 56) * z * cosine
    cosine = 1.0 - (1 / 30) * z * cosine
    cosine = 1.0 - (1 / 12) * z * cosine
    cosine = 1.0 - (1 / 2) * z * cosine
    return angle * sine, cosine


@jit
def unit(word: Word) -> float:
    """Return a float in [1, 2) from the upper 52 bits of `word`."""
    return Word((word >> Word(12)) | ONE).view(np.float64)


@jit
def normal_radius(word: Word) -> float:
    """Return the distance from 0 of a pair of independent standard normals.

    From a uniform number in (0, 1], so that there is no zero to take the logarithm of; in steps of 2⁻⁵², so
    that no distance exceeds 8.5, as one of 4 · 10¹⁵ should.
    """
    return math.sqrt(-2.0 * log(2.0 - unit(word)))


@jit
def normal_direction(word: Word) -> tuple[float, float]:
    """Return a random point of the unit circle: an angle within a quarter, and two bits for which quarter."""
    sine, cosine = sine_cosine((unit(word) - 1.5) * (math.pi / 2.0))
    sign = 1.0 if word & Word(1) else -1.0
    if word & Word(2):
        return sign * sine, sign * cosine
    return sign * cosine, sign * sine


@jit
def normal_block(out: Array, words: Array, start: Word, key: Word, block: int) -> None:
    """Write the 64 normals of `block` to `out`, by Box & Muller (1958); works in `words` (64,).

    The two of a pair lie 32 apart, so that each loop runs along memory; three small loops are vectorised
    where one large one is not.
    """
    counter = NORMALS + Word(block) * Word(BLOCK)
    for j in range(words.size):
        words[j] = random_word(start, key, counter + Word(j))
    radial, angular = words[: BLOCK // 2], words[BLOCK // 2 :]
    low, high = out[: BLOCK // 2], out[BLOCK // 2 :]
    for j in range(low.size):
        low[j] = normal_radius(radial[j])
    for j in range(low.size):
        x, y = normal_direction(angular[j])
        high[j] = low[j] * y
        low[j] *= x


@jit
def normal(out: Array, seed: int, index: int, begin: int) -> None:
    """Write positions `begin` and on of a probe of standard normals to `out` (D,)."""
    start = Word(start_of(seed))
    key = Word(key_of(start, index))
    values, words = np.empty(BLOCK), np.empty(BLOCK, np.uint64)
    j = 0
    while j < out.size:
        block, first = divmod(begin + j, BLOCK)
        stop = min(j + BLOCK - first, out.size)
        normal_block(values, words, start, key, block)
        out[j:stop] = values[first : first + stop - j]
        j = stop


@reassociating
def hutchinson_step(mean: Array, m2: Array, count: int, probe: Array, product: Array) -> float:
    """Fold v ⊙ Hv of one more probe into `mean` and `m2` (D,) of `count` probes; return vᵀHv.

    Welford (1962), per coordinate; `m2` is the sum of squared deviations. One pass serves both estimators.
    """
    share = 1.0 / (count + 1.0)
    total = 0.0
    for j in range(mean.size):
        value = np.float64(probe[j]) * np.float64(product[j])
        deviation = value - mean[j]
        middle = mean[j] + share * deviation
        mean[j] = middle
        m2[j] += deviation * (value - middle)
        total += value
    return total
