"""The same numbers as curvlinops, on the same matrices, within the errors of both."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import HutchinsonEstimator, HutchPlusPlusEstimator

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")
curvlinops = pytest.importorskip("curvlinops")

SPECTRA = {
    "fast decay": 1.0 / np.arange(1.0, 61.0) ** 2,
    "slow decay": 1.0 / np.sqrt(np.arange(1.0, 61.0)),
    "indefinite": np.linspace(-1.0, 2.0, 60),
}
REPEATS = 40
KINDS = ["rademacher", "normal"]
# Nine comparisons of traces, three of them skewed: 4 combined standard errors.


@pytest.fixture(params=SPECTRA)
def matrix(rng, request):
    vectors = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    return (vectors * SPECTRA[request.param]) @ vectors.T


def theirs(function, matrix, *arguments):
    """Return their estimates (REPEATS, …), mean and standard error."""
    torch.manual_seed(5)
    values = np.array([function(torch.from_numpy(matrix), *arguments).numpy() for _ in range(REPEATS)])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(REPEATS)


@pytest.mark.parametrize("kind", KINDS)
def test_hutchinson_traces_agree(matrix, kind):
    mean, error = theirs(curvlinops.hutchinson_trace, matrix, 30, kind)
    first, *others = (
        HutchinsonEstimator(num_probes=30, distribution=kind, seed=s).trace(matrix) for s in range(REPEATS)
    )
    for other in others:
        first = first.merge(other)
    assert abs(first.trace - mean) < 4.0 * math.hypot(first.standard_error, error)
    assert first.standard_error == pytest.approx(error, rel=3.0 / math.sqrt(2 * REPEATS))


def test_hutch_plus_plus_traces_agree(matrix):
    mean, error = theirs(curvlinops.hutchpp_trace, matrix, 30)
    readings = [HutchPlusPlusEstimator(num_probes=30, seed=s).trace(matrix) for s in range(REPEATS)]
    ours = np.mean([r.trace for r in readings])
    our_error = math.sqrt(np.mean([r.standard_error**2 for r in readings]) / REPEATS)
    assert abs(ours - mean) < 4.0 * math.hypot(our_error, error)
    assert our_error == pytest.approx(error, rel=3.0 / math.sqrt(2 * REPEATS))


@pytest.mark.parametrize("kind", KINDS)
def test_diagonals_agree(matrix, kind):
    mean, error = theirs(curvlinops.hutchinson_diag, matrix, 30, kind)
    first, *others = (
        HutchinsonEstimator(num_probes=30, distribution=kind, seed=s).diagonal(matrix) for s in range(REPEATS)
    )
    for other in others:
        first = first.merge(other)
    combined = np.hypot(first.standard_error, error)
    assert np.all(abs(first.diagonal - mean) < 4.0 * combined)  # the largest of 60
    ratio = np.sqrt(np.mean(first.standard_error**2) / np.mean(error**2))
    assert ratio == pytest.approx(1.0, rel=3.0 / math.sqrt(2 * REPEATS))


# Forward-mode derivatives, which curvlinops uses, load a module of torch that calls `torch.jit.script`: a
# DeprecationWarning in torch 2.13, a FutureWarning in 2.14.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_hessian_of_theirs_can_be_measured_here():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1)).double()
    inputs, targets = torch.randn(20, 5).double(), torch.randn(20, 1).double()
    operator = curvlinops.HessianLinearOperator(
        model,
        torch.nn.MSELoss(),
        list(model.parameters()),
        [(inputs, targets)],
        check_deterministic=False,
    ).to_scipy()
    dim = operator.shape[0]
    exact = np.trace(operator @ np.eye(dim))
    reading = HutchinsonEstimator(num_probes=40, confidence=0.999).trace(operator)
    assert reading.interval[0] < exact < reading.interval[1]
