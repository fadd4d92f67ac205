"""Arrays that NumPy would take for something else: masked, matrices, complex, objects."""

from __future__ import annotations

import numpy as np
import pytest

import nalr
from nalr import (
    IterateAverage,
    LossSmoother,
    Moments,
    NoiseAdaptiveLR,
    NoiseEstimator,
    create_noisy_landscape,
    largest_eigenvalue,
)
from nalr.curvature import ProbeAverage
from nalr.noise.one_batch import compute_gradient_variance

MASKED = np.ma.array([[1.0, 2.0], [3.0, 1e8]], mask=[[False, False], [False, True]])
ROW, LOSS = MASKED[1], np.ma.masked
LINE = np.ma.array([1.0, 2.0, 1e8], mask=[False, False, True])
COLUMNS = {"step": [0, 1, 2], "loss": [3.0, 2.0, 1.0], "lr": [0.1, 0.1, 0.1]}

ENTRIES = {
    "gradients": lambda: NoiseAdaptiveLR(0.1).get_adapted_lr(MASKED, 1.0),
    "layers": lambda: NoiseAdaptiveLR(0.1).get_adapted_lr([MASKED, np.ones((2, 3))], 1.0),
    "rows in a list": lambda: NoiseEstimator().update([ROW, ROW]),
    "params": lambda: NoiseAdaptiveLR(0.1).get_adapted_lr(np.ones((2, 2)), 1.0, ROW),
    "loss": lambda: NoiseAdaptiveLR(0.1).get_adapted_lr(np.ones((2, 2)), LOSS),
    "accumulated": lambda: NoiseAdaptiveLR(0.1).accumulate(ROW),
    "estimator": lambda: NoiseEstimator().update(MASKED),
    "preconditioner": lambda: NoiseEstimator().update(np.ones((2, 2)), preconditioner=ROW),
    "weights": lambda: Moments.from_rows(np.ones((3, 2)), weights=LINE),
    "variance": lambda: compute_gradient_variance(MASKED),
    "noise": lambda: NoiseEstimator().estimate_noise(MASKED),
    "losses": lambda: LossSmoother().smooth(LINE),
    "one loss": lambda: LossSmoother().update(LINE[2]),
    "average": lambda: IterateAverage().update(ROW),
    "probe": lambda: ProbeAverage().update(ROW, np.ones(2)),
    "product": lambda: largest_eigenvalue(lambda v: np.ma.array(v, mask=[True, False]), 2),
    "landscape": lambda: create_noisy_landscape(dim=2).true_loss(ROW),
    "report": lambda: nalr.report({**COLUMNS, "loss": LINE}),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_masked_values_are_refused_in_one_sentence(entry):
    with pytest.raises(ValueError, match=r"^`\w+` must not have masked values, got [12] of [1-6]. Leave"):
        ENTRIES[entry]()


def test_a_masked_array_without_masked_values_is_what_it_holds(rng):
    rows = rng.normal(size=(4, 3))
    plain, masked = Moments.from_rows(rows), Moments.from_rows(np.ma.array(rows, mask=False))
    assert masked == plain


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_a_matrix_is_an_array_of_rows(rng):
    rows = rng.normal(size=(4, 3))
    assert Moments.from_rows(np.asmatrix(rows)) == Moments.from_rows(rows)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("value", "dtype"), [(np.ones((2, 2), complex), "complex128"), (np.ones((2, 2), object), "object")]
)
def test_complex_numbers_and_objects_are_refused(value, dtype):
    with pytest.raises(TypeError, match=f"`gradients` must hold floating-point numbers, got dtype {dtype}."):
        Moments.from_rows(value)


@pytest.mark.filterwarnings("error")
def test_complex_settings_losses_and_columns_are_refused():
    with pytest.raises(TypeError, match="`base_lr` must be a real number positive and finite, got "):
        NoiseAdaptiveLR(np.complex128(1 + 2j))
    with pytest.raises(TypeError, match="`loss` must be a single real number, got "):
        LossSmoother().update(np.complex128(1 + 2j))
    with pytest.raises(TypeError, match="`loss` must hold real numbers"):
        nalr.report({**COLUMNS, "loss": np.array([1.0, 2.0, 3.0j])})
