"""Intervals of few skewed values cover what they say, where the symmetric one does not.

`python -m tests.statistics.test_mean_interval` prints a table of `docs/curvature.md`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr.statistics.intervals import student_t_quantile
from nalr.statistics.mean_interval import MOST_SKEW, UNKNOWN, mean_interval

REPEATS = 4000
MARGIN = 2.0 * math.sqrt(0.05 * 0.95 / REPEATS)
"""Two standard errors of a coverage near 95 % over so many repeats."""

SPECTRA = {
    "rank one": [1.0],
    "rank two": [1.0, 1.0],
    "fast decay": 1.0 / np.arange(1.0, 30.0) ** 2,
    "slow decay": 1.0 / np.arange(1.0, 40.0),
    "indefinite": [1.0, -0.5, 0.2],
    "flat": np.ones(40),
}


def quadratic_forms(rng, eigenvalues, count, repeats=REPEATS):
    """Return (repeats, count) values of zᵀHz, z normal, and tr H."""
    values = sum(w * rng.normal(size=(repeats, count)) ** 2 for w in eigenvalues)
    return values, float(np.sum(eigenvalues))


def covered(rows, truth):
    intervals = [mean_interval(row, 0.95) for row in rows]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def covered_by_student(rows, truth):
    n = rows.shape[1]
    errors = rows.std(axis=1, ddof=1) / math.sqrt(n)
    return float(np.mean(abs(rows.mean(axis=1) - truth) <= student_t_quantile(0.95, n - 1.0) * errors))


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 10, 16, 32, 64])
@pytest.mark.parametrize("name", SPECTRA)
def test_95_percent_is_93_to_97_from_8_values_on(rng, name, count):
    rows, truth = quadratic_forms(rng, SPECTRA[name], count)
    assert 0.93 - MARGIN <= covered(rows, truth) <= 0.97 + MARGIN


@pytest.mark.parametrize("count", [8, 10, 16])
def test_the_symmetric_t_interval_does_not_cover_skewed_values(rng, count):
    rows, truth = quadratic_forms(rng, SPECTRA["rank one"], count)
    assert covered_by_student(rows, truth) < 0.90


def test_the_error_without_ddof_and_the_gaussian_quantile_are_too_narrow(rng):
    rows, truth = quadratic_forms(rng, SPECTRA["flat"], 8)
    errors = rows.std(axis=1) / math.sqrt(8)
    naive = np.mean(abs(rows.mean(axis=1) - truth) <= 1.96 * errors)
    assert naive < 0.90 < covered(rows, truth)


def test_symmetric_values_have_students_interval():
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    half = student_t_quantile(0.95, 7.0) * np.std(values, ddof=1) / math.sqrt(8)
    assert mean_interval(values, 0.95) == pytest.approx((4.5 - half, 4.5 + half))


def test_the_interval_reaches_further_towards_the_skew_and_mirrors():
    values = np.array([0.0, 0.1, 0.0, 0.2, 0.1, 0.0, 0.1, 5.0])
    low, high = mean_interval(values, 0.95)
    mean = values.mean()
    assert high - mean > 1.5 * (mean - low)
    assert mean_interval(-values, 0.95) == pytest.approx((-high, -low))


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_any_unit_gives_the_same_interval(rng, scale):
    values = rng.normal(size=20) ** 2
    low, high = mean_interval(values, 0.95)
    assert mean_interval(scale * values, 0.95) == pytest.approx((scale * low, scale * high))


def test_no_quadratic_form_is_more_skewed_than_that_of_rank_one(rng):
    for _ in range(200):
        w = rng.normal(size=rng.integers(1, 6))
        assert abs(8.0 * (w**3).sum() / (2.0 * (w**2).sum()) ** 1.5) <= MOST_SKEW + 1e-12


def test_too_few_values_have_no_interval_and_equal_ones_a_point():
    assert mean_interval([], 0.95) == mean_interval([3.0], 0.95) == UNKNOWN
    assert mean_interval([3.0, 3.0], 0.95) == mean_interval([3.0] * 9, 0.95) == (3.0, 3.0)


def main():
    """Print the coverage of both intervals."""
    print("| values | " + " | ".join(f"{n}, t alone | {n}, ours" for n in (8, 16, 64)) + " |")
    print("| :-- |" + " --: |" * 6)
    for name, eigenvalues in SPECTRA.items():
        rng, cells = np.random.default_rng(1), []
        for count in (8, 16, 64):
            rows, truth = quadratic_forms(rng, eigenvalues, count, 40_000)
            cells += [covered_by_student(rows, truth), covered(rows, truth)]
        print(f"| {name} | " + " | ".join(f"{100 * cell:.1f} %" for cell in cells) + " |")


if __name__ == "__main__":
    main()
