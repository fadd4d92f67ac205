"""What the rates must not depend on, and what no run may break."""

from __future__ import annotations

import numpy as np
import pytest

from nalr import NoiseAdaptiveLR, create_noisy_landscape
from nalr.policies import Reason

HORIZONS = pytest.mark.parametrize("horizon", [True, False], ids=["horizon", "open"])
DIM = 8
EIGENVALUES = np.geomspace(1.0, 0.05, DIM)


class Adam:
    """Adam (Kingma & Ba 2015) in NumPy: returns the direction that the rate is to multiply."""

    def __init__(self, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.first = self.second = 0.0
        self.count = 0

    def __call__(self, gradient):
        self.count += 1
        self.first = self.beta1 * self.first + (1.0 - self.beta1) * gradient
        self.second = self.beta2 * self.second + (1.0 - self.beta2) * gradient**2
        first = self.first / (1.0 - self.beta1**self.count)
        second = self.second / (1.0 - self.beta2**self.count)
        return first / (np.sqrt(second) + self.epsilon)


def bowl(offset=0.0, factor=1.0, rotation=None, permute=False, noise=0.3, seed=3, batch=8):
    """Return a sampler of ½ xᵀHx with noisy rows, in other units, coordinates or order of rows if asked."""
    rng, order = np.random.default_rng(seed), np.random.default_rng(99)

    def sample(params):
        x = params if rotation is None else rotation.T @ params
        rows = EIGENVALUES * x + noise * rng.normal(size=(batch, DIM))
        loss = 0.5 * float(EIGENVALUES @ x**2) + 0.1 * noise * float(rng.normal())
        if rotation is not None:
            rows = rows @ rotation.T
        if permute:
            rows = rows[order.permutation(batch)]
        return factor * loss + offset, factor * rows

    return sample


def descend(sample, start, base_lr, steps, horizon=True, optimizer=None):
    """Run plain SGD, or another optimizer through its parameters; return parameters, rates, controller."""
    controller = NoiseAdaptiveLR(base_lr, total_steps=steps if horizon else None)
    params, rates = np.array(start, dtype=float), []
    for _ in range(steps):
        loss, rows = sample(params)
        rate = controller.get_adapted_lr(rows, loss, None if optimizer is None else params)
        gradient = rows.mean(axis=0)
        params = params - rate * (gradient if optimizer is None else optimizer(gradient))
        rates.append(rate)
    return params, np.array(rates), controller


START = np.full(DIM, 2.0)
BASE = 0.01
"""Too small for the first step's guard, which is not blind to the loss's zero, to bind."""


# -- what the rates must not depend on ----------------------------------------------------------------


@HORIZONS
@pytest.mark.parametrize("optimizer", [None, Adam], ids=["sgd", "adam"])
@pytest.mark.parametrize("offset", [64.0, -64.0])
def test_a_constant_added_to_the_loss_changes_nothing(horizon, optimizer, offset):
    rates = [
        descend(bowl(offset=c), START, BASE, 300, horizon, optimizer and optimizer())[1]
        for c in (0.0, offset)
    ]
    assert rates[0][0] == rates[1][0] == BASE
    # The losses are rounded otherwise, by 64·2⁻⁵³ in differences of a thousandth and more.
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-9)


@HORIZONS
def test_losses_that_are_negative_throughout_are_no_different(horizon):
    params, _, _ = descend(bowl(offset=-1000.0), START, BASE, 300, horizon)
    assert EIGENVALUES @ params**2 < 0.05 * (EIGENVALUES @ START**2)


@HORIZONS
@pytest.mark.parametrize("factor", [4.0, 2.0**-10])
def test_the_unit_of_the_loss_comes_out_of_the_rates_of_sgd(horizon, factor):
    ours = descend(bowl(), START, BASE, 300, horizon)[1]
    other = descend(bowl(factor=factor), START, BASE / factor, 300, horizon)[1]
    np.testing.assert_allclose(other * factor, ours, rtol=1e-12)


@pytest.mark.parametrize("factor", [4.0, 2.0**-10])
@pytest.mark.parametrize(
    ("horizon", "base_lr"),
    [(True, 0.005), (False, 0.004), (False, 0.005)],
)
def test_the_unit_of_the_loss_leaves_the_rates_of_adam_alone(horizon, base_lr, factor):
    ours = descend(bowl(), START, base_lr, 150, horizon, Adam())[1]
    other = descend(bowl(factor=factor), START, base_lr, 150, horizon, Adam(epsilon=1e-8 * factor))[1]
    np.testing.assert_allclose(other, ours, rtol=1e-12)
    # With the same ε it enters, by about a share of itself over the size of a gradient.
    same = descend(bowl(factor=factor), START, base_lr, 150, horizon, Adam())[1]
    np.testing.assert_allclose(same, ours, rtol=1e-6 if factor > 1.0 else 1e-3)


@HORIZONS
def test_rotated_coordinates_give_the_same_rates(horizon):
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(DIM, DIM)))
    ours = descend(bowl(), START, BASE, 120, horizon)[1]
    other = descend(bowl(rotation=rotation), rotation @ START, BASE, 120, horizon)[1]
    np.testing.assert_allclose(other, ours, rtol=1e-6)


@HORIZONS
def test_the_order_of_the_rows_does_not_matter(horizon):
    ours = descend(bowl(), START, BASE, 200, horizon)[1]
    other = descend(bowl(permute=True), START, BASE, 200, horizon)[1]
    np.testing.assert_allclose(other, ours, rtol=1e-9)


# -- what no run may break ----------------------------------------------------------------------------


@HORIZONS
@pytest.mark.parametrize("base_lr", [1e-4, 1e-2, 1.0])
def test_one_row_a_step_lowers_the_loss(horizon, base_lr):
    params, rates, _ = descend(bowl(batch=1), START, base_lr, 300, horizon)
    assert np.isfinite(rates).all()
    assert EIGENVALUES @ params**2 < 0.3 * (EIGENVALUES @ START**2)


@HORIZONS
@pytest.mark.parametrize("base_lr", [1e-3, 1e-1, 10.0])
def test_the_batch_size_may_change_from_step_to_step(horizon, base_lr):
    rng, sizes = np.random.default_rng(5), np.random.default_rng(6)

    def sample(params):
        rows = EIGENVALUES * params + 0.3 * rng.normal(size=(int(sizes.choice([1, 2, 4, 16, 64])), DIM))
        return 0.5 * float(EIGENVALUES @ params**2) + 0.03 * float(rng.normal()), rows

    params, _, _ = descend(sample, START, base_lr, 300, horizon)
    assert EIGENVALUES @ params**2 < 0.1 * (EIGENVALUES @ START**2)


def saddle(noise, batch=8, seed=2):
    """¼(xy − 1)², whose gradient vanishes at the origin."""
    rng = np.random.default_rng(seed)

    def sample(params):
        x, y = params
        gradient = 0.5 * (x * y - 1.0) * np.array([y, x])
        return 0.25 * (x * y - 1.0) ** 2, gradient + noise * rng.normal(size=(batch, 2))

    return sample


def saddle_left_by(horizon, noise, base_lr, steps=1200):
    """Return the share of the saddle's loss that a run from beside it ends at."""
    params, _, _ = descend(saddle(noise), [0.01, 0.02], base_lr, steps, horizon)
    return (params[0] * params[1] - 1.0) ** 2


@pytest.mark.slow
@pytest.mark.parametrize(("horizon", "noise"), [(True, 0.0), (True, 0.1), (False, 0.1)])
@pytest.mark.parametrize("base_lr", [1e-3, 1e-1, 1.0])
def test_a_start_beside_a_saddle_is_left(horizon, noise, base_lr):
    assert saddle_left_by(horizon, noise, base_lr) < 0.1


def test_a_start_beside_a_saddle_is_left_for_good_without_noise_and_horizon():
    assert max(saddle_left_by(False, 0.0, base_lr) for base_lr in (1e-3, 1e-2, 1e-1, 0.3, 1.0)) < 0.1


@HORIZONS
def test_a_start_whose_first_gradients_vanish_waits_and_goes(horizon):
    def sample(params):
        gradient = EIGENVALUES * (params - START) if next(steps) >= 5 else np.zeros(DIM)
        return 0.5 * float(EIGENVALUES @ (params - START) ** 2), np.tile(gradient, (4, 1))

    steps = iter(range(10**6))
    params, rates, _ = descend(sample, np.zeros(DIM), 0.01, 300, horizon)
    assert (rates[:5] == 0.01).all()
    assert EIGENVALUES @ (params - START) ** 2 < 0.01 * (EIGENVALUES @ START**2)


@HORIZONS
@pytest.mark.parametrize("base_lr", [1e-3, 1e-1, 10.0])
def test_sparse_gradients_lower_the_loss(horizon, base_lr):
    rng = np.random.default_rng(8)

    def sample(params):
        seen = rng.random((8, DIM)) < 0.1  # each row sees one coordinate in ten
        rows = np.where(seen, 10.0 * (EIGENVALUES * params + 0.1 * rng.normal(size=(8, DIM))), 0.0)
        return 0.5 * float(EIGENVALUES @ params**2), rows

    params, _, _ = descend(sample, START, base_lr, 400, horizon)
    assert EIGENVALUES @ params**2 < 0.3 * (EIGENVALUES @ START**2)


@HORIZONS
@pytest.mark.parametrize("base_lr", [1e-3, 1e-1, 10.0])
def test_heavy_tails_do_not_throw_a_run_off(horizon, base_lr):
    rng = np.random.default_rng(9)

    def sample(params):
        rows = EIGENVALUES * params + 0.3 * rng.standard_t(2.5, size=(8, DIM))
        return 0.5 * float(EIGENVALUES @ params**2) + 0.1 * float(rng.standard_t(2.5)), rows

    params, _, _ = descend(sample, START, base_lr, 400, horizon)
    assert EIGENVALUES @ params**2 < 0.1 * (EIGENVALUES @ START**2)


@HORIZONS
@pytest.mark.parametrize("base_lr", [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])
def test_without_noise_any_base_rate_reaches_the_bottom(horizon, base_lr):
    params, _, _ = descend(bowl(noise=0.0), START, base_lr, 400, horizon)
    assert EIGENVALUES @ params**2 < 1e-6 * (EIGENVALUES @ START**2)


@HORIZONS
def test_the_rate_rises_again_after_the_optimum_jumped(horizon):
    landscape = create_noisy_landscape(
        dim=5, noise_scale=0.2, kind="drifting", seed=8, drift=0.0, jump_every=200, jump_size=4.0
    )
    controller = NoiseAdaptiveLR(0.05, total_steps=400 if horizon else None)
    params, rates, losses = np.array(landscape.start, dtype=float), [], []
    for _ in range(320):
        loss, rows = landscape.sample(params, 16)
        rates.append(controller.get_adapted_lr(rows, loss))
        params = params - rates[-1] * rows.mean(axis=0)
        losses.append(float(landscape.true_loss(params)))
    assert losses[199] > 30.0 * losses[198]
    assert max(rates[200:]) > 1.2 * rates[198]
    assert losses[-1] < 0.1 * losses[199]


@pytest.mark.parametrize("steps", [300, 6000])
def test_a_base_rate_far_too_small_reaches_the_edge_in_a_third_of_the_run(steps):
    landscape = create_noisy_landscape(dim=10, noise_scale=0.1, seed=0, condition=30.0)
    controller = NoiseAdaptiveLR(1e-4, total_steps=steps)
    params, largest = np.array(landscape.start, dtype=float), 0.0
    for _ in range(int(0.3 * steps)):
        loss, rows = landscape.sample(params, 16)
        rate = controller.get_adapted_lr(rows, loss)
        params = params - rate * rows.mean(axis=0)
        largest = max(largest, rate)
        if largest >= 0.3:  # of the line minimum, 1
            break
    assert largest >= 0.3
    assert Reason.BLOW_UP.value not in controller.history.reason_counts
