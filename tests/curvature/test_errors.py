"""Errors of Hutchinson, Hutch++ and XTrace at equal products: a table of `docs/curvature.md`.

`python -m tests.curvature.test_errors` prints it, and what stopping early costs (some minutes).
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import HutchinsonEstimator, HutchPlusPlusEstimator
from nalr.curvature.probes import rademacher
from nalr.statistics.intervals import student_t_quantile

pytestmark = pytest.mark.slow

DIM = 200
INDEX = np.arange(1.0, DIM + 1.0)
SPECTRA = {
    "fast: .8^i": 0.8**INDEX,
    "1/i²": INDEX**-2,
    "indefinite ±1/i": np.where(INDEX % 2, 1.0, -1.0) / INDEX,
    "slow: 1/√i": INDEX**-0.5,
    "flat: 1 to 3": np.linspace(1.0, 3.0, DIM),
}
BUDGETS = (24, 48, 96)


def matrix_of(name):
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0]
    return (vectors * SPECTRA[name]) @ vectors.T


def of_ours(estimator):
    """Return (estimate, standard error, interval) of one of our estimators."""

    def estimate(matrix, budget, seed):
        reading = estimator(num_probes=budget, seed=seed).trace(matrix)
        return reading.trace, reading.standard_error, reading.interval

    return estimate


def xtrace(matrix, budget, seed):
    """Return what XTrace says; its standard error is that of Epperly, Tropp & Webber (2023), section 4.

    The trace in the basis without probe i, plus that probe's estimate of what this basis leaves.
    """
    k = budget // 2
    probes = np.array([rademacher(DIM, seed=seed, index=i, dtype=np.float64) for i in range(k)]).T
    images = matrix @ probes
    basis, triangle = np.linalg.qr(images)
    basis_images = matrix @ basis
    inside = basis.T @ basis_images
    directions = np.linalg.pinv(triangle).T
    directions /= np.linalg.norm(directions, axis=0)
    # The basis without image i spans basis (I − d dᵀ): what it takes of a vector is taken in coordinates.
    taken = basis.T @ probes
    taken -= directions * np.sum(directions * taken, axis=0)
    rests, rest_images = probes - basis @ taken, images - basis_images @ taken
    known = np.trace(inside) - np.sum(directions * (inside @ directions), axis=0)
    values = known + np.sum(rests * rest_images, axis=0)
    error = float(values.std(ddof=1)) / math.sqrt(k)
    mean, t = float(values.mean()), student_t_quantile(0.95, k - 1.0)
    return mean, error, (mean - t * error, mean + t * error)


METHODS = {
    "Hutchinson": of_ours(HutchinsonEstimator),
    "Hutch++": of_ours(HutchPlusPlusEstimator),
    "XTrace": xtrace,
}


def measured(method, name, budget, repeats):
    """Return RMS error over Σ|λ|, RMS standard error over RMS error, and the coverage of 95 % intervals."""
    matrix, truth = matrix_of(name), float(SPECTRA[name].sum())
    results = [METHODS[method](matrix, budget, seed) for seed in range(repeats)]
    errors = math.sqrt(np.mean([(value - truth) ** 2 for value, _, _ in results]))
    claimed = math.sqrt(np.mean([error**2 for _, error, _ in results]))
    inside = np.mean([low <= truth <= high for _, _, (low, high) in results])
    return errors / float(abs(SPECTRA[name]).sum()), claimed / errors, float(inside)


@pytest.mark.parametrize("name", ["fast: .8^i", "1/i²", "indefinite ±1/i"])
def test_hutch_plus_plus_errs_less_where_eigenvalues_decay(name):
    plain, better = (measured(m, name, 96, 60)[0] for m in ("Hutchinson", "Hutch++"))
    assert better < 0.4 * plain


def test_hutchinson_errs_less_where_they_do_not():
    plain, other = (measured(m, "flat: 1 to 3", 96, 60)[0] for m in ("Hutchinson", "Hutch++"))
    assert plain < 0.7 * other


@pytest.mark.parametrize("method", ["Hutchinson", "Hutch++"])
@pytest.mark.parametrize("name", SPECTRA)
def test_our_standard_errors_are_what_the_errors_are(method, name):
    _, ratio, inside = measured(method, name, 48, 100)
    assert ratio == pytest.approx(1.0, abs=3.5 / math.sqrt(2 * 100))
    assert inside > 0.93 - 2.5 * math.sqrt(0.05 * 0.95 / 100)


def test_the_standard_error_of_xtrace_is_too_small_which_is_why_we_leave_it_out():
    _, ratio, inside = measured("XTrace", "flat: 1 to 3", 96, 60)
    assert ratio < 0.8
    assert inside < 0.9  # .80 over many


def stopped(eigenvalues, wanted, repeats):
    """Return mean probes, bias over the wanted error, and coverage, of runs that stop at `wanted`."""
    settings = {"num_probes": 450, "relative_error": wanted, "distribution": "normal"}
    readings = [
        HutchinsonEstimator(seed=s, **settings).trace(lambda v: eigenvalues * v, eigenvalues.size)
        for s in range(repeats)
    ]
    truth = float(eigenvalues.sum())
    bias = np.mean([r.trace for r in readings]) / truth - 1.0
    inside = np.mean([r.interval[0] <= truth <= r.interval[1] for r in readings])
    return np.mean([r.num_products for r in readings]), bias / wanted, float(inside)


def print_errors():
    print("| spectrum | products | " + " | ".join(f"{m} | its SE | covers" for m in METHODS) + " |")
    print("| :-- | --: |" + " --: |" * 3 * len(METHODS))
    for name in SPECTRA:
        for budget in BUDGETS:
            cells = []
            for method in METHODS:
                error, ratio, inside = measured(method, name, budget, 400)
                cells += [f"{error:.1e}", f"{ratio:.2f}", f"{100 * inside:.0f} %"]
            print(f"| {name} | {budget} | " + " | ".join(cells) + " |", flush=True)


def print_stopping():
    print("| spectrum | wanted | probes | bias ÷ wanted | covers |")
    print("| :-- | --: | --: | --: | --: |")
    for name in ("1/i²", "1/i", "slow: 1/√i"):
        index = np.arange(1.0, 501.0)
        eigenvalues = {"1/i²": index**-2, "1/i": 1 / index, "slow: 1/√i": index**-0.5}[name]
        for wanted in (0.5, 0.3, 0.2):
            probes, bias, inside = stopped(eigenvalues, wanted, 2000)
            print(f"| {name} | {wanted} | {probes:.0f} | {bias:+.3f} | {100 * inside:.1f} % |", flush=True)


if __name__ == "__main__":
    print_errors()
    print()
    print_stopping()
