"""The test of stationarity: its statistic, its interval on correlated data, and what it decides."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nalr import Moments, NoiseAdaptiveLR
from nalr.policies import SASA, Evidence, Reason
from nalr.statistics.batch_means import FEWEST_BATCHES, BatchMeans
from nalr.statistics.intervals import student_t_quantile


def told(values, share=1.0, confidence=0.95):
    """Return what batch means say of a series."""
    series = BatchMeans(share)
    for value in values:
        series.update(float(value))
    return series.reading(confidence)


def independent(values, confidence=0.95):
    """The biased alternative: s/√N, for values that are independent."""
    reach = (
        student_t_quantile(confidence, len(values) - 1.0) * np.std(values, ddof=1) / math.sqrt(len(values))
    )
    return np.mean(values) - reach, np.mean(values) + reach


def autoregressive(rng, correlation, length):
    """A stationary series of mean zero whose neighbours have this correlation."""
    values = rng.normal(size=length)
    values[0] /= math.sqrt(1.0 - correlation**2)
    for i in range(1, length):
        values[i] += correlation * values[i - 1]
    return values


# -- the interval -------------------------------------------------------------------------------------


def test_batch_means_by_hand():
    # 0 … 31 fill 32 batches of one, which join to 16 of two with means ½, 2½, … 30½: mean 15½.
    # Their variance is 2² · (16² − 1)/12 · 16/15 = 90⅔, and t of 15 degrees of freedom is 2.1314.
    reading = told(range(32))
    reach = 2.1314 * math.sqrt(90.0 + 2.0 / 3.0) / 4.0
    np.testing.assert_allclose(reading, (15.5, 15.5 - reach, 15.5 + reach, 32), rtol=1e-4)


def test_batch_means_look_at_the_newest_share_alone():
    # 64 batches when the first are joined; a quarter of 64 values is 16 batches of one, 48 … 63.
    reading = told(range(64), share=0.25)
    assert (reading.mean, reading.length) == (55.5, 16)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.125])
def test_batches_stay_between_one_and_two_times_the_fewest(share):
    series = BatchMeans(share)
    for count in range(1, 5000):
        series.update(1.0)
        reading = series.reading(0.95)
        batches = reading.length / series._state.length
        assert batches <= 2 * FEWEST_BATCHES
        if count >= FEWEST_BATCHES / share:
            assert batches >= FEWEST_BATCHES and reading.mean == 1.0
            assert abs(reading.length - share * count) <= 2 * series._state.length
    assert len(series._state.sums) <= 2 * FEWEST_BATCHES / share


def test_too_few_batches_tell_nothing():
    assert all(math.isnan(v) for v in told([1.0] * 15)[:3])
    assert told([1.0] * 16)[:3] == (1.0, 1.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_batch_means_cover_where_the_formula_for_independent_values_does_not(correlation):
    # s/√N is too narrow by √((1 + φ)/(1 − φ)): it covers as a Gaussian does within 1.96 divided by that.
    rng, runs, ours, naive = np.random.default_rng(1), 400, 0, 0
    for _ in range(runs):
        values = autoregressive(rng, correlation, 2000)
        reading = told(values)
        low, high = independent(values)
        ours += reading.low <= 0.0 <= reading.high
        naive += low <= 0.0 <= high
    expected = math.erf(1.96 / math.sqrt((1.0 + correlation) / (1.0 - correlation)) / math.sqrt(2.0))
    error = 4.0 * math.sqrt(0.25 / runs)
    assert naive / runs == pytest.approx(expected, abs=error)  # .95, .74 and .35
    # Batches of 62 steps still correlate a little at φ = .9, which has a memory of 19: .93 rather than .95.
    assert ours / runs == pytest.approx(0.95, abs=4.0 * math.sqrt(0.95 * 0.05 / runs))


def test_the_state_of_batch_means_is_exact(rng):
    values = rng.normal(size=700)
    series, again = BatchMeans(0.25), BatchMeans(0.25)
    for value in values[:333]:
        series.update(value)
    again.load_state_dict(series.state_dict())
    for value in values[333:]:
        again.update(value)
    assert again.reading(0.9) == told(values, 0.25, 0.9)


# -- the statistic ------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_delta_from_lengths_is_delta_from_vectors(rng, momentum):
    policy, x, d = SASA(), rng.normal(size=20), np.zeros(20)
    start, controller = x.copy(), NoiseAdaptiveLR(0.1, policy=policy)
    expected = math.nan
    for step in range(50):
        rows = x + rng.normal(size=(3, 20))
        lr = controller.get_adapted_lr(rows, 1.0, x)
        delta = controller.last_decision.evidence["delta"]
        assert math.isnan(delta) if step == 0 else delta == pytest.approx(expected, rel=1e-9, abs=1e-12)
        d = momentum * d + rows.mean(axis=0)
        expected = (x - start) @ d - 0.5 * lr * d @ d
        x = x - lr * d


def test_delta_has_mean_zero_for_stationary_runs_of_any_optimizer():
    # Yaida's relation in one dimension: E⟨x, d⟩ = ½ η E d², whatever the momentum.
    rng = np.random.default_rng(3)
    for momentum in (0.0, 0.9):
        deltas, x, d = [], 0.0, 0.0
        for step in range(20000):
            d = momentum * d + (1.0 - momentum) * (x + rng.normal())
            if step > 1000:
                deltas.append(x * d - 0.05 * d * d)
            x -= 0.1 * d
        reading = told(deltas, confidence=0.999)
        assert reading.low <= 0.0 <= reading.high
        assert reading.high - reading.low < 0.02  # of terms E⟨x, d⟩ − ½ η E d² that are each .05


# -- the rule -----------------------------------------------------------------------------------------


def walk(policy, distances, lr=0.5):
    """Feed |x₀ − x|² step by step; return the decisions."""
    policy.begin(1.0, 1e-9, 1e9, None, 0)
    decisions = []
    for step, distance in enumerate(distances):
        path = {"step_product": 0.0, "step_squared_norm": 1.0, "displacement_squared_norm": distance}
        moments = Moments(1, 1.0, 1, 1.0, 0.0, **(path if step else {}))
        decisions.append(policy.decide(Evidence(step, 1.0, lr if step else 0.0, moments, math.nan)))
    return decisions


def test_sasa_by_hand():
    # To and fro: Δ is −1, 1, −1, … at η = ½. Of 32 values, 16 batches of two have mean 0: a cut. What
    # travels, one unit of |x₀ − x|² a step, has Δ = −1 throughout, and its interval is [−1, −1].
    policy = SASA(factor=0.25, share=1.0, fewest=32, every=32)
    resting = walk(policy, [step % 2 for step in range(70)])
    assert [i for i, d in enumerate(resting) if d.reason is Reason.STALL] == [32, 64]
    assert [resting[i].lr for i in (31, 32, 64)] == [1.0, 0.25, 0.0625]
    expected = {"delta": 1.0, "mean": 0.0, "low": 0.0, "high": 0.0, "length": 32.0}
    assert resting[32].evidence == expected
    travelling = walk(policy, range(200))
    assert {d.lr for d in travelling} == {1.0}
    assert travelling[192].evidence == {
        "delta": -1.0,
        "mean": -1.0,
        "low": -1.0,
        "high": -1.0,
        "length": 192.0,
    }


def test_sasa_holds_without_a_path():
    policy = SASA(share=1.0, fewest=16, every=1)
    policy.begin(0.3, 1e-9, 1e9, None, 0)
    for step in range(100):
        decision = policy.decide(Evidence(step, 1.0, 0.1, Moments(1, 1.0, 1, 1.0, 0.0), math.nan))
        assert (decision.lr, decision.reason) == (0.3, Reason.HOLD)


def test_a_step_that_was_not_made_takes_no_part():
    policy = SASA(share=1.0, fewest=16, every=16)
    policy.begin(1.0, 1e-9, 1e9, None, 0)
    path = {"step_product": 0.0, "step_squared_norm": 1.0}
    for step in range(40):
        moments = Moments(1, 1.0, 1, 1.0, 0.0, **path, displacement_squared_norm=0.0)
        policy.decide(Evidence(step, 1.0, 0.0, moments, math.nan))
    assert policy._series.reading(0.95).length == 0


def test_two_steps_are_not_taken_for_one(rng):
    """A loss that is not finite hides a step that was made: the distance then tells of two."""
    policy, x = SASA(share=1.0), rng.normal(size=5)
    controller = NoiseAdaptiveLR(0.1, policy=policy)
    for step in range(30):
        rows = x + rng.normal(size=(3, 5))
        lr = controller.get_adapted_lr(rows, math.inf if step == 10 else 1.0, x)
        if step in (11, 12):
            assert math.isnan(controller.last_decision.evidence["delta"]) == (step == 11)
        x = x - lr * rows.mean(axis=0)
    assert policy._series.reading(0.95).length == 27  # of 29 steps between 30 points


def bowl(policy, seed, steps, lr, start=0.0, momentum=0.0, curvature=1.0):
    """Run on ½λ|x|² with noise; return the step of the first cut, and how far it is from home then."""
    rng, x, d = np.random.default_rng(seed), np.full(5, start), np.zeros(5)
    controller = NoiseAdaptiveLR(lr, policy=policy)
    for step in range(steps):
        rows = curvature * x + rng.normal(size=(2, 5))
        lr = controller.get_adapted_lr(rows, float(x @ x), x)
        if controller.last_decision.reason is Reason.STALL:
            return step, float(np.linalg.norm(x))
        d = momentum * d + (1.0 - momentum) * rows.mean(axis=0)
        x = x - lr * d
    return None, float(np.linalg.norm(x))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sasa_waits_for_the_travel_and_cuts_after_it(momentum):
    # At η = .01 the way home, from 1000 units off to where the noise keeps it at .1, takes ln(10⁴)/.01 = 920
    # steps. The test looks at the newer half: it is free of them at step 1840, and hardly sees them at 1400.
    for seed in range(4):
        step, distance = bowl(SASA(share=0.5, fewest=100, every=50), seed, 2500, 0.01, 1000.0, momentum)
        assert 1000 < step < 2500
        assert distance < 0.5


class Independent(BatchMeans):
    """What the published code comes down to: the formula for independent values, over the same window."""

    def __init__(self, share):
        super().__init__(share)
        self.values = []

    def update(self, value):
        super().update(value)
        self.values.append(value)

    def reading(self, confidence):
        ours = super().reading(confidence)
        if math.isnan(ours.low):
            return ours
        low, high = independent(self.values[-ours.length :], confidence)
        return ours._replace(low=low, high=high)


@pytest.mark.slow
def test_the_formula_for_independent_values_denies_that_a_run_with_momentum_has_settled():
    # A momentum of .98 is a memory of 50 steps, and home is never further than 1/(.02·.2) = 250 steps.
    found = {BatchMeans: 0, Independent: 0}
    for kind in found:
        for seed in range(20):
            policy = SASA(share=0.5, fewest=400, every=1600)
            policy._series = kind(0.5)
            step, _ = bowl(policy, seed, 1602, 0.02, momentum=0.98, curvature=0.2)
            found[kind] += step is not None
    assert found[BatchMeans] >= 18
    assert found[Independent] <= 14
