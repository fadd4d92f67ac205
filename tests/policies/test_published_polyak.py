"""The Polyak steps: by hand, against vectors kept the slow way, and against the authors' package."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import Moments, NoiseAdaptiveLR
from nalr.policies import Evidence, MoMo, PolyakStep, Reason

EPS = np.finfo(np.float64).eps


def scalar(gradient, **path):
    """Moments of one row in one dimension."""
    return Moments(1, 1.0, 1, gradient * gradient, 0.0, **path)


def decide(policy, loss, moments, step=0, lr=0.0):
    return policy.decide(Evidence(step, loss, lr, moments, math.nan))


def begun(policy, base_lr=10.0):
    policy.begin(base_lr, 1e-9, 1e9, None, 0)
    return policy


# -- by hand ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "gradient", "expected", "reason"),
    [
        (5.0, 4.0, 0.5, Reason.FORMULA),  # (5 − 1)/(½·16)
        (5.0, 0.1, 10.0, Reason.FORMULA),  # 4/(½·.01) = 800, above γ_b
        (1.0, 4.0, 1e-9, Reason.BOUND),  # at the lower bound
        (0.0, 4.0, 1e-9, Reason.BOUND),  # below it, which a minibatch may be
    ],
)
def test_polyak_step_by_hand(loss, gradient, expected, reason):
    decision = decide(begun(PolyakStep(lower_bound=1.0)), loss, scalar(gradient))
    assert decision.lr == pytest.approx(expected, rel=1e-15)
    assert decision.reason is reason


def test_polyak_step_holds_where_the_gradient_is_zero():
    policy = begun(PolyakStep(c=1.0))
    assert decide(policy, 2.0, scalar(2.0)).lr == 0.5
    held = decide(policy, 2.0, scalar(0.0), 1)
    assert (held.lr, held.reason) == (0.5, Reason.HOLD)


def test_momo_by_hand():
    # f = ½x², β = ½. At x = 2: f = 2, g = 2; the averages begin there: h = 2, |d|² = 4, η = ½.
    # x = 2 − ½·2 = 1: f = ½, g = 1; f̄ = ½·2 + ½·½ = 5/4, d = ½·2 + ½·1 = 3/2, γ = ½·4 + ½·1 = 5/2.
    # h = 5/4 + 3/2·1 − 5/2 = 1/4, and η = (1/4)/(9/4) = 1/9.
    # x = 1 − 1/9·3/2 = 5/6: f = 25/72, g = 5/6; f̄ = 5/8 + 25/144 = 115/144, d = 3/4 + 5/12 = 7/6,
    # γ = 5/4 + 25/72 = 115/72; h = 115/144 + 7/6·5/6 − 115/72 = 25/144, and η = (25/144)/(49/36) = 25/196.
    policy, x, velocity, lr = begun(MoMo(beta=0.5)), 2.0, 2.0, 0.0
    for step, expected in enumerate((1 / 2, 1 / 9, 25 / 196)):
        moved = lr * velocity
        path = {"step_product": x * moved, "step_squared_norm": moved * moved} if step else {}
        decision = decide(policy, 0.5 * x * x, scalar(x, **path), step, lr)
        lr, velocity = decision.lr, 0.5 * velocity + 0.5 * x
        assert lr == pytest.approx(expected, rel=1e-14)
        x -= lr * velocity
    assert decision.evidence["averaged_loss"] == pytest.approx(115 / 144)
    assert decision.evidence["squared_norm"] == pytest.approx(49 / 36)
    assert decision.evidence["agreement"] == pytest.approx(1.0)


# -- against vectors ----------------------------------------------------------------------------------


class SlowMoMo:
    """MoMo as its authors write it, with every vector and ⟨g, x⟩ itself."""

    def __init__(self, beta, lower_bound, largest):
        self.beta, self.lower_bound, self.largest = beta, lower_bound, largest
        self.d = None

    def rate(self, x, loss, gradient):
        if self.d is None:
            self.d, self.loss, self.gamma = gradient, loss, gradient @ x
        else:
            new = 1.0 - self.beta
            self.d = self.beta * self.d + new * gradient
            self.loss = self.beta * self.loss + new * loss
            self.gamma = self.beta * self.gamma + new * (gradient @ x)
        h = self.loss + self.d @ x - self.gamma
        return max(min(max(h - self.lower_bound, 0.0) / (self.d @ self.d), self.largest), self.largest / 1e8)


def problem(rng, x, eigenvalues):
    """A noisy bowl that ends at a loss of 1: rows, and the loss of the same samples."""
    rows = eigenvalues * x + 0.3 * rng.normal(size=(4, x.size))
    return rows, float(1.0 + 0.5 * eigenvalues @ x**2 + 0.1 * rng.normal())


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("lower_bound", [0.0, 0.9, -3.0])
@pytest.mark.parametrize("largest", [0.05, 100.0])
def test_momo_from_sums_is_momo_over_vectors(rng, beta, lower_bound, largest):
    eigenvalues, x = np.linspace(0.1, 2.0, 30), rng.normal(size=30)
    controller = NoiseAdaptiveLR(largest, policy=MoMo(beta=beta, lower_bound=lower_bound))
    slow, worst, lr = SlowMoMo(beta, lower_bound, largest), 0.0, largest
    capped = 0
    for _ in range(120):
        rows, loss = problem(rng, x, eigenvalues)
        expected = slow.rate(x, loss, rows.mean(axis=0))
        lr = controller.get_adapted_lr(rows, loss, x)
        # h is a difference of numbers of the size of f̄ and ⟨d, x⟩, and a step one of numbers of the size of x
        numerator = max(abs(lr * (slow.d @ slow.d)), 1e-300)
        condition = (abs(slow.loss) + abs(slow.gamma) + abs(slow.d @ x)) / numerator + 1.0
        length = lr * float(np.linalg.norm(slow.d))
        worst = max(worst, EPS * 120.0 * (condition + float(np.linalg.norm(x)) / length))
        if largest / 1e8 < expected < largest:
            assert lr == pytest.approx(expected, rel=worst)
        else:
            assert lr == pytest.approx(expected, rel=1e-12)
            capped += 1
        x = x - lr * slow.d
    assert capped < 120 or largest < 1.0


def test_without_momentum_momo_is_the_polyak_step(rng):
    rates = []
    for policy in (MoMo(beta=0.0, lower_bound=0.5), PolyakStep(lower_bound=0.5, c=1.0)):
        numbers, x = np.random.default_rng(6), np.ones(8)
        controller = NoiseAdaptiveLR(2.0, policy=policy)
        taken = []
        for _ in range(50):
            rows, loss = problem(numbers, x, np.linspace(0.1, 2.0, 8))
            taken.append(controller.get_adapted_lr(rows, loss))
            x = x - taken[-1] * rows.mean(axis=0)
        rates.append(taken)
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 20


def test_momo_goes_on_through_a_gradient_that_is_not_finite(rng):
    """As if the step had never been, but for one rate that must be held while |d|² cannot be seen."""
    eigenvalues, x, slow = np.linspace(0.1, 2.0, 30), rng.normal(size=30), SlowMoMo(0.9, 0.0, 100.0)
    controller = NoiseAdaptiveLR(100.0, policy=MoMo())
    for step in range(60):
        rows, loss = problem(rng, x, eigenvalues)
        if step == 20:
            before = controller.lr
            controller.get_adapted_lr(np.full_like(rows, math.nan), loss, x)
        expected = slow.rate(x, loss, rows.mean(axis=0))
        lr = controller.get_adapted_lr(rows, loss, x)
        if step == 20:
            assert lr == before and controller.last_decision.reason is Reason.HOLD
        else:
            assert lr == pytest.approx(expected, rel=1e-9)
        x = x - lr * slow.d


def test_momo_with_momentum_holds_without_a_path():
    policy = begun(MoMo(), base_lr=0.3)
    assert decide(policy, 0.001, scalar(1.0)).lr == pytest.approx(0.001)  # the first needs none
    for step in range(1, 5):
        decision = decide(policy, 2.0, scalar(1.0), step, 0.001)
        assert (decision.lr, decision.reason) == (pytest.approx(0.001), Reason.HOLD)


def test_momo_tells_where_the_optimizer_is_another_one(rng):
    agreements = {}
    for damped in (True, False):
        x, d = np.ones(10), np.zeros(10)
        controller = NoiseAdaptiveLR(0.01, policy=MoMo())
        for step in range(40):
            rows, loss = problem(rng, x, np.ones(10))
            gradient = rows.mean(axis=0)
            lr = controller.get_adapted_lr(rows, loss, x)
            d = gradient if step == 0 else 0.9 * d + (0.1 if damped else 1.0) * gradient
            x = x - lr * d
        agreements[damped] = controller.last_decision.evidence["agreement"]
    assert agreements[True] == pytest.approx(1.0, abs=1e-9)
    assert agreements[False] > 1.1


@pytest.mark.parametrize("cut", [1, 7, 30])
def test_momo_resumes_exactly_through_the_controller(cut):
    def run(controller, x, d, first, last):
        rates = []
        for step in range(first, last):
            rows, loss = problem(np.random.default_rng(step), x, np.linspace(0.1, 2.0, 10))
            rates.append(controller.get_adapted_lr(rows, loss, x))
            d = rows.mean(axis=0) if step == 0 else 0.9 * d + (1.0 - 0.9) * rows.mean(axis=0)
            x = x - rates[-1] * d
        return rates, x, d

    whole, half, again = (NoiseAdaptiveLR(5.0, policy=MoMo()) for _ in range(3))
    expected, _, _ = run(whole, np.ones(10), None, 0, 60)
    _, x, d = run(half, np.ones(10), None, 0, cut)
    again.load_state_dict(half.state_dict())
    assert run(again, x, d, cut, 60)[0] == expected[cut:]


# -- through torch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.9])
@pytest.mark.parametrize("largest", [0.1, 10.0])
def test_momo_trains_like_the_authors_package(beta, largest):
    momo, torch = pytest.importorskip("momo"), pytest.importorskip("torch")
    from nalr.torch import NoiseAdaptiveOptimizer
    from tests.torch.training import Training

    def ours(t):
        inner = torch.optim.SGD(t.model.parameters(), lr=largest, momentum=beta, dampening=beta)
        return NoiseAdaptiveOptimizer(inner, policy=MoMo(beta=beta))

    runs = [
        Training(make, dtype=torch.float64)
        for make in (ours, lambda t: momo.Momo(t.model.parameters(), lr=largest, beta=beta))
    ]
    for step in range(80):
        for training in runs:
            loss = training.backward(step)
            training.optimizer.step(loss=loss.detach())
    for mine, theirs in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)
    rates = runs[0].optimizer.engine.adaptive.history.to_numpy()["lr"]
    assert rates.min() < rates.max() <= largest


def test_momo_trains_through_the_scheduler_one_loss_late():
    torch = pytest.importorskip("torch")
    from nalr.torch import NoiseAdaptiveLR as Scheduler
    from tests.torch.training import Training

    training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=0.3, momentum=0.9, dampening=0.9))
    losses = training.run(150, Scheduler(training.optimizer, policy=MoMo()))
    assert np.mean(losses[-20:]) < 0.3 * losses[0]
