"""What a step's measurement costs beside the NumPy that it replaces; the answer is asserted first."""

from __future__ import annotations

import numpy as np
import pytest

from nalr import LossSmoother, NoiseAdaptiveLR, NoiseEstimator

SHAPES = [(16, 1000), (32, 100_000), (4, 4_000_000)]


@pytest.fixture(params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def rows(request):
    rng = np.random.default_rng(0)
    return rng.normal(size=request.param).astype(np.float32)


def numpy_noise(rows):
    return float(np.sqrt(rows.var(axis=0, ddof=1).mean()))


@pytest.mark.benchmark(group="noise of a batch")
@pytest.mark.parametrize("which", ["nalr", "numpy"])
def test_noise_of_a_batch(benchmark, rows, which):
    estimate = NoiseEstimator().estimate_noise
    assert estimate(rows) == pytest.approx(numpy_noise(rows), rel=1e-4)
    benchmark(estimate if which == "nalr" else numpy_noise, rows)


@pytest.mark.benchmark(group="variance of each coordinate")
@pytest.mark.parametrize("which", ["nalr", "numpy"])
def test_variance_of_each_coordinate(benchmark, rows, which):
    variance = NoiseEstimator().compute_variance
    np.testing.assert_allclose(variance(rows), rows.var(axis=0, ddof=1, dtype=np.float64), rtol=1e-5)
    if which == "nalr":
        benchmark(variance, rows)
    else:
        benchmark(rows.var, axis=0, ddof=1)


@pytest.mark.benchmark(group="a whole step, against the variance alone")
@pytest.mark.parametrize("which", ["nalr", "numpy"])
def test_a_whole_step(benchmark, rows, which):
    controller = NoiseAdaptiveLR(0.01)
    loss = 1e9  # far above what the first step promises, so that it is not shortened
    assert controller.get_adapted_lr(rows, loss) == 0.01
    assert controller.reading().noise_scale == pytest.approx(numpy_noise(rows), rel=1e-4)
    if which == "nalr":
        benchmark(controller.get_adapted_lr, rows, loss)
    else:
        benchmark(rows.var, axis=0, ddof=1)


class PlainAverage:
    """The average that people write by hand."""

    def __init__(self, alpha):
        self.alpha = alpha
        self.value = None

    def update(self, loss):
        self.value = loss if self.value is None else self.alpha * self.value + (1.0 - self.alpha) * loss
        return self.value


@pytest.mark.benchmark(group="a loss smoothed")
@pytest.mark.parametrize("which", ["nalr", "by hand"])
def test_a_loss_smoothed(benchmark, which):
    ours, plain = LossSmoother(alpha=0.9), PlainAverage(0.9)
    for loss in np.linspace(3.0, 1.0, 4000).tolist():  # past the first steps, whose gains still change
        assert ours.update(loss) == plain.update(loss)
    benchmark((ours if which == "nalr" else plain).update, 2.0)
