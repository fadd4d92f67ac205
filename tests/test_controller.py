from __future__ import annotations

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nalr import LossSmoother, Moments, NoiseAdaptiveLR, NoiseEstimator, NoiseWarning, create_noisy_landscape
from nalr.arrays.gradients import as_rows
from nalr.policies import AdaScale, Constant, NoiseAdaptive, Reason, WarmupCosine, WarmupLinear
from tests.noise.test_estimator import same


def descend(controller, landscape, steps, batch_size=16, start=None, give_params=False):
    """Run plain SGD; return the parameters at the end and the rates."""
    params = np.array(landscape.start if start is None else start, dtype=float)
    rates = []
    for _ in range(steps):
        loss, rows = landscape.sample(params, batch_size)
        rates.append(controller.get_adapted_lr(rows, loss, params if give_params else None))
        params = params - rates[-1] * rows.mean(axis=0)
    return params, np.array(rates)


def feed(controller, steps):
    """Give prepared (rows, loss) pairs; return the rates."""
    return [controller.get_adapted_lr(rows, loss) for rows, loss in steps]


@pytest.fixture
def steps(rng):
    """Gradients of a noisy bowl along a fixed walk, with their losses."""
    positions = np.linspace(3.0, 0.1, 80)[:, None] * np.ones((1, 6))
    return [(x + rng.normal(size=(8, 6)), float(0.5 * x @ x + 0.1 * rng.normal())) for x in positions]


# -- the promises of the description ------------------------------------------------------------------


def test_the_first_call_returns_the_base_rate(rng):
    controller = NoiseAdaptiveLR(base_lr=0.01, min_lr=0.001, max_lr=0.1)
    assert controller.lr == 0.01
    assert controller.get_adapted_lr(rng.normal(size=(16, 3)), 1.5) == 0.01
    assert controller.last_decision.reason is Reason.START


def test_the_first_rate_is_lowered_only_where_its_step_promises_half_of_the_loss():
    rows = np.full((4, 2), 10.0)  # |ḡ|² = 200
    assert NoiseAdaptiveLR(0.01).get_adapted_lr(rows, loss=4.1) == 0.01
    assert NoiseAdaptiveLR(10.0).get_adapted_lr(rows, loss=4.0) == pytest.approx(0.01)
    assert NoiseAdaptiveLR(10.0).get_adapted_lr(rows, loss=0.0) == 10.0  # a level of 0 says nothing


def test_one_row_batches_adapt_through_the_change_from_step_to_step():
    landscape = create_noisy_landscape(dim=5, noise_scale=0.2, seed=2)
    controller = NoiseAdaptiveLR(base_lr=1e-3, total_steps=400)
    params, rates = descend(controller, landscape, 400, batch_size=1)
    assert controller.reading().source == "steps"
    assert rates.max() > 30.0 * rates[0]
    assert landscape.true_loss(params) < 1e-3 * landscape.true_loss(landscape.start)


def test_rows_accumulated_one_by_one_give_the_same_rates(steps):
    batch, stream = NoiseAdaptiveLR(0.01), NoiseAdaptiveLR(0.01)
    for rows, loss in steps:
        for row in rows:
            stream.accumulate(row)
        assert stream.get_adapted_lr(None, loss) == pytest.approx(batch.get_adapted_lr(rows, loss), rel=1e-6)


def test_parameters_of_plain_descent_give_the_rates_assumed_without_them():
    a = create_noisy_landscape(dim=4, noise_scale=0.5, seed=3)
    b = create_noisy_landscape(dim=4, noise_scale=0.5, seed=3)
    _, assumed = descend(NoiseAdaptiveLR(0.01, total_steps=60), a, 60)
    _, given = descend(NoiseAdaptiveLR(0.01, total_steps=60), b, 60, give_params=True)
    np.testing.assert_allclose(given, assumed, rtol=1e-6)


def test_sums_made_elsewhere_move_the_rate(rng):
    controller = NoiseAdaptiveLR(base_lr=0.1)
    for _ in range(5):
        rows = rng.normal(size=(4, 10))
        norm = float((rows.mean(axis=0) ** 2).sum())
        lr = controller.update_policy(Moments.from_norms((rows**2).sum(axis=1), norm, 10), 1.0)
    assert controller.min_lr <= lr <= controller.max_lr
    assert controller.reading().noise_scale == pytest.approx(1.0, rel=0.4)


def test_sums_without_a_path_can_only_lower_the_rate(rng):
    controller = NoiseAdaptiveLR(base_lr=0.1)
    rates = []
    for step in range(600):
        rows = rng.normal(size=(4, 10))
        moments = Moments.from_norms((rows**2).sum(axis=1), float((rows.mean(axis=0) ** 2).sum()), 10)
        loss = 3.0 - 0.01 * min(step, 200) + (2.5 if step > 400 else 0.0) + 0.01 * rng.normal()
        rates.append(controller.update_policy(moments, loss))
    assert max(rates) == 0.1
    assert rates[-1] < rates[399] <= 0.1
    assert controller.history.reason_counts["cut"] >= 1


# -- what must hold -----------------------------------------------------------------------------------


def test_a_constant_added_to_the_loss_changes_nothing_but_rounding(steps):
    plain = feed(NoiseAdaptiveLR(1e-4), steps)
    for offset in (-10.0, 10.0, 1000.0):
        moved = feed(NoiseAdaptiveLR(1e-4), [(rows, loss + offset) for rows, loss in steps])
        np.testing.assert_allclose(moved, plain, rtol=1e-9)


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_a_factor_on_the_loss_scales_the_rate_by_its_inverse_to_the_bit(steps, factor):
    plain = feed(NoiseAdaptiveLR(0.01), steps)
    scaled = feed(NoiseAdaptiveLR(0.01 / factor), [(rows * factor, loss * factor) for rows, loss in steps])
    assert [lr * factor for lr in scaled] == plain


def test_rotated_coordinates_give_the_same_rates(steps, rng):
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    plain = feed(NoiseAdaptiveLR(0.01), steps)
    rotated = feed(NoiseAdaptiveLR(0.01), [(rows @ rotation, loss) for rows, loss in steps])
    np.testing.assert_allclose(rotated, plain, rtol=1e-6)


@pytest.mark.parametrize("cut", [0, 1, 2, 17, 79])
def test_resume_is_exact_at_any_cut(steps, cut):
    whole = NoiseAdaptiveLR(0.01, total_steps=100)
    rates = feed(whole, steps)
    half = NoiseAdaptiveLR(0.01, total_steps=100)
    feed(half, steps[:cut])
    resumed = NoiseAdaptiveLR(0.01, total_steps=100)
    resumed.load_state_dict(pickle.loads(pickle.dumps(half.state_dict())))
    assert resumed.lr == half.lr
    assert feed(resumed, steps[cut:]) == rates[cut:]
    assert same(resumed.state_dict(), whole.state_dict())


def test_a_state_of_other_settings_is_refused_and_changes_nothing(steps):
    controller = NoiseAdaptiveLR(0.01)
    feed(controller, steps[:5])
    before = copy.deepcopy(controller.state_dict())
    with pytest.raises(ValueError) as refusal:
        controller.load_state_dict(NoiseAdaptiveLR(0.01, cooldown=3, total_steps=9).state_dict())
    assert str(refusal.value) == (
        "`state` must have been saved by NoiseAdaptiveLR with cooldown=20, got one with cooldown=3."
    )
    assert same(controller.state_dict(), before)


def bowl_run(controller, start, stop, x, seed=1):
    """Descend a noisy bowl from `x`; the noise of a step is the same in every run."""
    spectrum, rates = np.array([1.0, 0.1, 3.0]), []
    for step in range(start, stop):
        noise = np.random.default_rng([seed, step]).normal(size=(8, 3))
        gradients = x * spectrum + noise
        rates.append(controller.get_adapted_lr(gradients, 0.5 * float(x @ (spectrum * x))))
        x = x - rates[-1] * gradients.mean(axis=0)
    return np.array(rates), x


@pytest.mark.parametrize(
    ("planned", "made", "now"),
    [(400, 400, 800), (400, 200, 800), (800, 300, 400), (None, 300, 600), (600, 300, None)],
)
def test_a_run_resumed_with_another_horizon_goes_on_as_if_so_planned(planned, made, now):
    stop, ratios = max(now or 0, made + 100), []
    for seed in range(1, 5):  # peak rates of two runs that saw other losses differ by a factor of two
        whole, _ = bowl_run(NoiseAdaptiveLR(0.01, total_steps=now), 0, stop, np.ones(3), seed)
        first, resumed = (NoiseAdaptiveLR(0.01, total_steps=total) for total in (planned, now))
        _, x = bowl_run(first, 0, made, np.ones(3), seed)
        resumed.load_state_dict(first.state_dict())
        rates, _ = bowl_run(resumed, made, stop, x, seed)
        half = slice(made, (made + stop) // 2)
        ratios.append((rates[0] / whole[made], np.median(rates[: half.stop - made] / whole[half])))
    first_ratio, later = np.exp(np.mean(np.log(ratios), axis=0))
    assert 0.5 < first_ratio < 2.0 and 0.5 < later < 2.0


def test_a_run_resumed_past_its_new_horizon_stands_still_and_says_so():
    first, resumed = (NoiseAdaptiveLR(0.01, total_steps=total) for total in (800, 400))
    _, x = bowl_run(first, 0, 500, np.ones(3))
    resumed.load_state_dict(first.state_dict())
    with pytest.warns(NoiseWarning, match="All 400 decisions") as seen:
        rates, _ = bowl_run(resumed, 500, 600, x)
    assert rates.max() < 1e-6 and len(seen) == 1


@pytest.mark.parametrize("kind", [WarmupCosine, WarmupLinear, lambda: AdaScale(WarmupCosine())])
def test_a_published_schedule_follows_the_new_horizon(kind):
    whole, first, resumed = (NoiseAdaptiveLR(0.1, total_steps=n, policy=kind()) for n in (90, 60, 90))
    row = np.ones((1, 3))  # without noise: the schedule is all that there is
    rates = [whole.get_adapted_lr(row, 1.0) for _ in range(90)]
    for _ in range(40):
        first.get_adapted_lr(row, 1.0)
    resumed.load_state_dict(first.state_dict())
    assert [resumed.get_adapted_lr(row, 1.0) for _ in range(50)] == rates[40:]


def test_reset_begins_the_same_run_again(steps):
    controller = NoiseAdaptiveLR(0.01)
    first = feed(controller, steps)
    controller.reset()
    assert feed(controller, steps) == first


# -- hostile input ------------------------------------------------------------------------------------

HOSTILE = {
    "nan gradients": (np.full((4, 3), np.nan), 1.0),
    "inf gradients": (np.full((4, 3), np.inf), 1.0),
    "one nan": (np.array([[1.0, np.nan, 1.0], [1.0, 1.0, 1.0]]), 1.0),
    "zero gradients": (np.zeros((4, 3)), 1.0),
    "constant gradients": (np.ones((4, 3)), 1.0),
    "huge gradients": (1e150 * np.array([[1.0, -1.0, 0.5], [0.9, 1.1, 1.0]]), 1.0),
    "beyond squaring": (1e200 * np.array([[1.0, -1.0, 0.5], [0.9, 1.1, 1.0]]), 1.0),
    "tiny gradients": (1e-160 * np.array([[1.0, -1.0, 0.5], [0.9, 1.1, 1.0]]), 1.0),
    "nan loss": (np.array([[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]]), math.nan),
    "inf loss": (np.array([[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]]), math.inf),
    "huge loss": (np.array([[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]]), 1e300),
    "negative loss": (np.array([[1.0, 2.0, 1.0], [0.5, 1.0, 1.0]]), -5.0),
}


@pytest.mark.parametrize("total_steps", [None, 120])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_steps_never_take_the_rate_out_of_its_bounds_or_stop_the_run(rng, name, total_steps):
    controller = NoiseAdaptiveLR(0.1, min_lr=1e-4, max_lr=10.0, total_steps=total_steps)
    bad_rows, bad_loss = HOSTILE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(120):
            hostile = step in (0, 7, 30) or 50 <= step < 70
            rows, loss = (bad_rows, bad_loss) if hostile else (1.0 + rng.normal(size=(4, 3)), 1.0)
            lr = controller.get_adapted_lr(rows, loss)
            assert 1e-4 <= lr <= 10.0
    assert len(controller.history) == 120
    assert "120 steps" in controller.summary()


@pytest.mark.parametrize("name", ["nan gradients", "inf gradients", "nan loss", "inf loss"])
def test_steps_that_are_not_finite_are_skipped_counted_and_repeated_ones_cut_the_rate(rng, name):
    controller = NoiseAdaptiveLR(0.1)
    for _ in range(5):
        before = controller.get_adapted_lr(1.0 + rng.normal(size=(4, 3)), 1.0)
    rows, loss = HOSTILE[name]
    assert controller.get_adapted_lr(rows, loss) == before
    assert controller.last_decision.reason is Reason.SKIP
    assert controller.get_adapted_lr(rows, loss) == 0.5 * before
    assert controller.get_adapted_lr(rows, loss) == 0.25 * before
    assert controller.last_decision.evidence["in_a_row"] == 3.0
    assert "not finite" in controller.summary()


@pytest.mark.filterwarnings("ignore:All . decisions")  # some streams are longer than that
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.floats(), min_size=4, max_size=4), st.floats()), min_size=1, max_size=30),
    st.sampled_from([None, 5, 30]),
)
def test_no_stream_of_floats_takes_the_rate_out_of_its_bounds(stream, total_steps):
    controller = NoiseAdaptiveLR(0.1, min_lr=0.01, max_lr=1.0, total_steps=total_steps)
    for values, loss in stream:
        lr = controller.get_adapted_lr(np.array(values).reshape(2, 2), loss)
        assert 0.01 <= lr <= 1.0


def test_constant_zero_gradients_leave_the_rate_alone():
    controller = NoiseAdaptiveLR(0.1)
    rates = feed(controller, [(np.zeros((4, 3)), 1.0)] * 50)
    assert set(rates) == {0.1}


def test_an_outlying_gradient_is_given_a_shorter_step(rng):
    controller = NoiseAdaptiveLR(0.01)
    for _ in range(40):
        controller.get_adapted_lr(1.0 + 0.1 * rng.normal(size=(4, 3)), 1.0)
    usual = controller.lr
    assert controller.get_adapted_lr(np.full((4, 3), 40.0), 1.0) < 0.2 * usual
    assert controller.last_decision.reason is Reason.CLIP


# -- messages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"base_lr": 0.0}, ValueError, r"`base_lr` must be positive and finite, got 0\.0\."),
        ({"base_lr": "0.1"}, TypeError, r"`base_lr` must be a real number positive and finite, got '0\.1'\."),
        ({"base_lr": math.nan}, ValueError, r"`base_lr` must be positive and finite, got nan\."),
        ({"base_lr": True}, TypeError, r"`base_lr` must be a real number"),
        ({"base_lr": 1.0, "min_lr": 2.0}, ValueError, r"`base_lr` must be within \[min_lr, max_lr\]"),
        ({"base_lr": 1.0, "max_lr": 0.5}, ValueError, r"`base_lr` must be within \[min_lr, max_lr\]"),
        ({"base_lr": 1.0, "min_lr": -1.0}, ValueError, r"`min_lr` must be positive and finite, got -1\.0\."),
        (
            {"base_lr": 1.0, "total_steps": 0},
            ValueError,
            r"`total_steps` must be a whole number of at least 1",
        ),
        ({"base_lr": 1.0, "total_steps": 2.5}, TypeError, r"`total_steps` must be a whole number"),
        ({"base_lr": 1.0, "alpha": 1.0}, ValueError, r"`alpha` must be in \[0, 1\), got 1\.0\."),
        ({"base_lr": 1.0, "cooldown": -1}, ValueError, r"`cooldown` must be a whole number of at least 0"),
        ({"base_lr": 1.0, "policy": "fast"}, TypeError, r"`policy` must be a Policy, got 'fast'\."),
        ({"base_lr": 1.0, "estimator": 3}, TypeError, r"`estimator` must be a NoiseEstimator, got 3\."),
        ({"base_lr": 1.0, "smoother": 3}, TypeError, r"`smoother` must be a LossSmoother, got 3\."),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(arguments, error, message):
    with pytest.raises(error, match=message):
        NoiseAdaptiveLR(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            (np.ones((2, 4)), 1.0),
            ValueError,
            r"`gradients_batch` must have 3 columns as in earlier updates, got 4",
        ),
        ((np.ones(3), 1.0), ValueError, r"got shape \(3,\)\. Use `\.reshape\(1, -1\)` for one row\."),
        ((np.ones((0, 3)), 1.0), ValueError, r"at least one row and one column, got shape \(0, 3\)"),
        ((np.ones((2, 3), dtype=int), 1.0), TypeError, r"must hold floating-point numbers, got dtype int64"),
        ((None, 1.0), ValueError, r"`gradients_batch` must be given, since no row was accumulated"),
        ((np.ones((2, 3)), "low"), TypeError, r"`loss` must be a single real number, got 'low'\."),
        ((np.ones((2, 3)), [1.0, 2.0]), TypeError, r"`loss` must be a single real number"),
        (
            (np.ones((2, 3)), 1.0, np.ones(4)),
            ValueError,
            r"`params` must have 3 values as in earlier updates, got 4",
        ),
    ],
)
def test_a_refused_call_changes_nothing(steps, call, error, message):
    controller = NoiseAdaptiveLR(0.1)
    controller.get_adapted_lr(np.ones((2, 3)), 1.0)
    before = copy.deepcopy(controller.state_dict())
    with pytest.raises(error, match=message):
        controller.get_adapted_lr(*call)
    assert same(controller.state_dict(), before)


def test_update_policy_wants_moments():
    with pytest.raises(TypeError, match="`moments` must be a Moments record, got float"):
        NoiseAdaptiveLR(0.1).update_policy(1.0, 1.0)


# -- parts, record, text ------------------------------------------------------------------------------


def test_parts_can_be_exchanged(steps):
    estimator, smoother = NoiseEstimator(decay=0.5), LossSmoother(alpha=0.5, window=5)
    controller = NoiseAdaptiveLR(0.1, estimator=estimator, smoother=smoother, policy=Constant())
    assert set(feed(controller, steps)) == {0.1}
    assert controller.estimator is estimator
    assert controller.history.to_dict()["smoothed_loss"][-1] == smoother.get_smoothed_loss()


def test_every_step_is_recorded_with_its_reason(steps):
    controller = NoiseAdaptiveLR(0.001)
    rates = feed(controller, steps)
    columns = controller.history.to_numpy()
    np.testing.assert_array_equal(columns["lr"], rates)
    np.testing.assert_array_equal(columns["step"], np.arange(80))
    np.testing.assert_array_equal(columns["loss"], [loss for _, loss in steps])
    assert columns["noise_scale"][-1] == controller.reading().noise_scale
    assert columns["noise_scale_low"][-1] < columns["noise_scale"][-1] < columns["noise_scale_high"][-1]
    assert columns["gradient_noise_scale"][-1] == controller.reading().gradient_noise_scale
    assert columns["signal_fraction"][-1] == controller.reading().signal_fraction
    assert set(columns["batch_size"]) == {8.0}
    assert set(columns["reason"]) <= {reason.value for reason in Reason}
    assert sum(controller.history.reason_counts.values()) == 80


@pytest.mark.parametrize("population", [None, 64])
def test_what_the_record_says_of_noise_is_what_a_reading_says(rng, population):
    controller = NoiseAdaptiveLR(0.01, estimator=NoiseEstimator(decay=0.5, population=population))
    clear, weak = 0, 0
    for step in range(60):
        rows = rng.normal(size=(4 + step % 3, 5)) + (1.0 if step < 30 else 0.0)
        controller.get_adapted_lr(rows, 1.0)
        reading, columns = controller.reading(), controller.history.to_dict()
        ratio, fraction = columns["gradient_noise_scale"][-1], columns["signal_fraction"][-1]
        assert fraction == reading.signal_fraction
        if reading.signal == 0.0:  # no number, and no signal
            assert math.isnan(ratio) and fraction == 0.0
            weak += 1
        else:  # the reading's own estimate, or above the bound that it gives
            assert ratio == reading.total_variance / reading.signal >= reading.gradient_noise_scale
            clear += ratio == reading.gradient_noise_scale
    assert clear > 10 and weak > 3


def test_a_skipped_step_leaves_what_is_known_of_the_noise(steps):
    controller = NoiseAdaptiveLR(0.01)
    feed(controller, steps[:20])
    before = controller.history.to_dict()
    controller.get_adapted_lr(np.full((8, 6), np.nan), 1.0)
    after = controller.history.to_dict()
    for name in ("noise_scale", "gradient_noise_scale", "signal_fraction", "batch_size"):
        assert after[name][-1] == before[name][-1]


def test_the_curvature_in_the_record_is_that_of_the_landscape():
    landscape = create_noisy_landscape(dim=3, noise_scale=0.3, seed=4, spectrum=[2.0, 2.0, 2.0])
    controller = NoiseAdaptiveLR(0.02, policy=Constant())
    descend(controller, landscape, 5)
    assert math.isnan(controller.history.to_dict()["curvature"][-1])  # that policy measures none
    controller = NoiseAdaptiveLR(0.02, max_lr=0.02)
    descend(controller, landscape, 60, batch_size=256)
    assert np.median(controller.history.to_numpy()["curvature"][10:40]) == pytest.approx(2.0, rel=0.1)


def test_a_shortened_step_does_not_change_the_curvature_in_the_record(rng):
    controller = NoiseAdaptiveLR(0.01, max_lr=0.01)
    params = np.full(3, 5.0)
    for _ in range(40):
        rows = 2.0 * params + 0.1 * rng.normal(size=(8, 3))
        params = params - controller.get_adapted_lr(rows, float(params @ params)) * rows.mean(axis=0)
    params = params + 60.0
    for _ in range(2):  # far off at once: outlying gradients
        rows = 2.0 * params + 0.1 * rng.normal(size=(8, 3))
        params = params - controller.get_adapted_lr(rows, float(params @ params)) * rows.mean(axis=0)
    columns = controller.history.to_dict()
    assert columns["reason"][-1] == "clip"
    evidence = controller.last_decision.evidence
    assert columns["curvature"][-1] == evidence["curvature"]
    assert evidence["step_reach"] == pytest.approx(evidence["curvature"] * 0.01)


def test_summary_tells_what_happened_when_and_why():
    landscape = create_noisy_landscape(dim=4, noise_scale=0.5, seed=6)
    controller = NoiseAdaptiveLR(0.001, total_steps=200)
    descend(controller, landscape, 200)
    text = controller.summary()
    for part in (
        "200 steps: smoothed loss",
        "learning rate: 0.001 ->",
        "ramp",
        "anneal",
        "gradient noise scale",
    ):
        assert part in text


def test_repr_shows_every_setting():
    controller = NoiseAdaptiveLR(0.5, total_steps=10, policy=NoiseAdaptive())
    assert repr(controller).startswith(
        "NoiseAdaptiveLR(base_lr=0.5, min_lr=5e-09, max_lr=50000000.0, total_steps=10"
    )
    assert "policy=NoiseAdaptive()" in repr(controller)


def test_torch_tensors_reach_the_kernels_through_their_own_memory():
    torch = pytest.importorskip("torch")
    rows = torch.randn(8, 5)
    assert as_rows("rows", rows).parts[0].array.__array_interface__["data"][0] == rows.data_ptr()
    by_tensor, by_array = NoiseAdaptiveLR(0.1), NoiseAdaptiveLR(0.1)
    for loss in (torch.tensor(2.0), torch.tensor([1.5], requires_grad=True), torch.tensor(1.0).bfloat16()):
        adapted = by_tensor.get_adapted_lr(rows, loss)
        assert adapted == by_array.get_adapted_lr(rows.numpy().copy(), loss.item())
