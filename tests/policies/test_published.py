"""Schedules, plateau and the rules of noise and curvature, on cases worked by hand; see the files beside."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from nalr import Moments, NoiseAdaptiveLR, create_noisy_landscape
from nalr.policies import (
    SASA,
    VSGD,
    AdaScale,
    Constant,
    Evidence,
    MoMo,
    NoiseScaled,
    Plateau,
    PolyakStep,
    Reason,
    Schedule,
    WarmupCosine,
    WarmupLinear,
)
from nalr_bench.race.methods.schedules import factors
from tests.test_controller import descend
from tests.tolerances import standard_errors

RULES = {
    "cosine": WarmupCosine,
    "line": WarmupLinear,
    "plateau": lambda: Plateau(factor=0.5, patience=3, every=20),
    "noise scaled": NoiseScaled,
    "vsgd": VSGD,
    "adascale": lambda: AdaScale(WarmupLinear()),
    "sasa": lambda: SASA(fewest=50, share=0.5, every=50),
    "polyak": PolyakStep,
    "momo": lambda: MoMo(beta=0.0),
}
"""Rules for plain SGD; `MoMo` with momentum has a file of its own."""


def two_rows(signal, noise, **path):
    """Moments of two rows in one dimension with these Q = |ḡ|² − tr Σ/B and tr Σ/B."""
    # tr Σ = Σ|gᵢ − ḡ|²/(2 − 1) and B = 2, so that Σ|gᵢ − ḡ|² is twice tr Σ/B
    return Moments(2, 2.0, 1, signal + noise, 2.0 * noise, **path)


def feed(policy, moments, losses=1.0, lr=0.1, base_lr=1.0, total_steps=None):
    """Begin a run and return its decisions on these moments."""
    policy.begin(base_lr, 1e-9, 1e9, total_steps, 0)
    losses = [losses] * len(moments) if isinstance(losses, float) else losses
    return [
        policy.decide(Evidence(step, loss, lr if step else 0.0, m, math.nan))
        for step, (m, loss) in enumerate(zip(moments, losses, strict=True))
    ]


def rates(decisions):
    return [decision.lr for decision in decisions]


# -- schedules ----------------------------------------------------------------------------------------


def test_cosine_by_hand():
    # Five steps, a fifth of them to warm up: one step at 1/1; then u = 0, 1/4, 1/2, 3/4 of half a wave.
    decisions = feed(WarmupCosine(warmup=0.2), [two_rows(1.0, 1.0)] * 6, total_steps=5)
    root = math.sqrt(0.5)
    expected = [1.0, 1.0, 0.5 * (1.0 + root), 0.5, 0.5 * (1.0 - root), 0.5 * (1.0 - root)]
    np.testing.assert_allclose(rates(decisions), expected, rtol=1e-15)
    assert [d.reason for d in decisions] == [Reason.RAMP] + [Reason.ANNEAL] * 5


def test_line_by_hand():
    # Six steps, half of them to warm up: 1/3, 2/3, 1; then 1 − u for u = 0, 1/3, 2/3; then no further.
    decisions = feed(WarmupLinear(warmup=0.5), [two_rows(1.0, 1.0)] * 8, total_steps=6)
    expected = [1 / 3, 2 / 3, 1.0, 1.0, 2 / 3, 1 / 3, 1 / 3, 1 / 3]
    np.testing.assert_allclose(rates(decisions), expected, rtol=1e-15)
    assert decisions[0].evidence == {"share": 1 / 3, "step": 0.0}


@pytest.mark.parametrize("total", [1, 7, 100])
def test_schedules_without_warm_up_are_those_of_torch(total):
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler
    for policy, make in (
        (WarmupCosine(warmup=0.0), lambda o: schedulers.CosineAnnealingLR(o, T_max=total)),
        (WarmupLinear(warmup=0.0), lambda o: schedulers.LinearLR(o, 1.0, 0.0, total_iters=total)),
    ):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        scheduler, theirs = make(optimizer), []
        for _ in range(total):
            theirs.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        ours = rates(feed(policy, [two_rows(1.0, 1.0)] * total, base_lr=0.3, total_steps=total))
        np.testing.assert_allclose(ours, theirs, rtol=1e-13 * total)


@pytest.mark.parametrize("total", [1, 4, 100])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5])
def test_schedules_are_those_of_the_race(total, warmup):
    for shape, policy in (("cosine", WarmupCosine(warmup=warmup)), ("linear", WarmupLinear(warmup=warmup))):
        ours = rates(feed(policy, [two_rows(1.0, 1.0)] * total, total_steps=total))
        assert ours == factors(shape, total, warmup)


@pytest.mark.parametrize("policy", [WarmupCosine(), WarmupLinear(), AdaScale(WarmupCosine())], ids=repr)
def test_a_schedule_without_an_end_is_refused(policy):
    with pytest.raises(ValueError, match=r"`total_steps` must be given with Warmup\w+\(warmup=0.05\), got"):
        NoiseAdaptiveLR(0.1, policy=policy)


def test_any_warm_up_leaves_the_fall_a_step():
    decisions = feed(WarmupLinear(warmup=0.99), [two_rows(1.0, 1.0)] * 3, total_steps=3)
    assert rates(decisions) == [0.5, 1.0, 1.0]
    assert rates(feed(WarmupLinear(warmup=0.99), [two_rows(1.0, 1.0)], total_steps=1)) == [1.0]


# -- plateau ------------------------------------------------------------------------------------------


def test_plateau_by_hand():
    # Patience 1: the second loss in a row that is no progress cuts. Then two losses in which none counts.
    policy = Plateau(factor=0.5, patience=1, cooldown=2)
    losses = [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.0, 2.0]
    decisions = feed(policy, [two_rows(1.0, 1.0)] * 9, losses)
    assert rates(decisions) == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert [i for i, d in enumerate(decisions) if d.reason is Reason.STALL] == [2, 6]
    assert decisions[2].evidence == {"loss": 3.0, "best": 3.0, "bad": 2.0}


def test_plateau_looks_at_means():
    # Means of two: 3, 3, 1.5, 1.5. Each repeat cuts, since nothing is borne.
    policy = Plateau(factor=0.5, patience=0, every=2)
    losses = [2.0, 4.0, 5.0, 1.0, 1.0, 2.0, 0.0, 3.0]
    decisions = feed(policy, [two_rows(1.0, 1.0)] * 8, losses)
    assert rates(decisions) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("mode", ["rel", "abs"])
@pytest.mark.parametrize("settings", [{}, {"patience": 0}, {"patience": 3, "cooldown": 4, "threshold": 0.05}])
def test_plateau_is_torch_s_step_for_step(rng, mode, settings):
    torch = pytest.importorskip("torch")
    losses = (2.0 * np.exp(-np.arange(300) / 60.0) + 0.3 * rng.normal(size=300)).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs, settings = [], {"factor": 0.7, "threshold_mode": mode, **settings}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, min_lr=1e-9, **settings)
    for loss in losses:
        scheduler.step(loss)
        theirs.append(optimizer.param_groups[0]["lr"])
    assert rates(feed(Plateau(**settings), [two_rows(1.0, 1.0)] * 300, losses)) == theirs
    assert min(theirs) < 0.1


# -- noise --------------------------------------------------------------------------------------------


def test_noise_scaled_by_hand():
    # 1. Nothing came before: η_max.
    # 2. Q = 3, tr Σ/B = 1 of B = 2: B_simple = 2/3, and 1/(1 + (2/3)/2) = 3/4.
    # 3. Memory of two steps: weights ½ and 1. Q = (½·3 + 0)/1.5 = 1, tr Σ/B = 1: 1/(1 + 1) = 1/2.
    # 4. Weights ¼, ½, 1: Q = (¼·3 + ½·0 − 1)/1.75 < 0: no rate is small enough, so the least there is.
    moments = [two_rows(3.0, 1.0), two_rows(0.0, 1.0), two_rows(-1.0, 1.0), two_rows(1.0, 1.0)]
    decisions = feed(NoiseScaled(memory=2.0), moments, base_lr=0.4)
    np.testing.assert_allclose(rates(decisions), [0.4, 0.3, 0.2, 1e-9], rtol=1e-14)
    assert [d.reason for d in decisions] == [Reason.START, Reason.FORMULA, Reason.FORMULA, Reason.BOUND]
    assert decisions[3].evidence["signal"] == pytest.approx(-1.0 / 7.0)


def test_noise_scaled_averages_before_it_clamps():
    # |G|² = 0.1 under tr Σ/B = 1 in ten dimensions: the rate is 1/11 of η_max, and 3.6 times that if clamped.
    rng = np.random.default_rng(3)
    policy = NoiseScaled(memory=4000.0)
    policy.begin(1.0, 1e-9, 1e9, None, 0)
    clamped = []
    for step in range(4000):
        rows = 0.1 + math.sqrt(0.4) * rng.normal(size=(4, 10))  # |G|² = 10·.01, tr Σ/4 = 10·.4/4
        moments = Moments.from_rows(rows)
        decision = policy.decide(Evidence(step, 1.0, 0.1, moments, math.nan))
        clamped.append(max(moments.signal, 0.0))
    naive = np.mean(clamped) / (np.mean(clamped) + 1.0)
    assert decision.lr == pytest.approx(0.1 / 1.1, rel=0.15)
    assert naive > 2.0 * decision.lr


def test_adascale_by_hand():
    # S = 2 rows, σ²/S = 1, μ² = 3: r = (2 + 3)/(1 + 3) = 5/4 from the second step on.
    # τ: 0, 1, 2¼, 3½; a line of four steps is 1, ¾, ½, ¼ at ⌊τ⌋.
    decisions = feed(AdaScale(WarmupLinear(warmup=0.0)), [two_rows(3.0, 1.0)] * 4, total_steps=4)
    np.testing.assert_allclose(rates(decisions), [1.0, 0.9375, 0.625, 0.3125], rtol=1e-14)
    assert [d.evidence["iterations"] for d in decisions] == [0.0, 1.0, 2.25, 3.5]
    assert [d.reason for d in decisions[:2]] == [Reason.ANNEAL, Reason.FORMULA]


@pytest.mark.parametrize(
    ("moments", "scale", "gain"),
    [
        (two_rows(3.0, 1.0), 4.0, 1.75),  # σ² = 4·1: (4 + 3)/(1 + 3)
        (two_rows(3.0, 1.0), 1.0, 1.0),
        (two_rows(0.0, 1.0), None, 2.0),  # noise alone: S
        (two_rows(-1.0, 1.0), 8.0, 8.0),  # μ² is clamped: no more than S
        (two_rows(3.0, 0.0), 8.0, 1.0),  # no noise: nothing is gained
        (Moments(1, 32.0, 1, 4.0, 0.0), 8.0, 1.0),  # one row tells nothing
    ],
)
def test_adascale_s_gain_is_between_1_and_s(moments, scale, gain):
    decisions = feed(AdaScale(scale=scale), [moments] * 3)
    assert rates(decisions) == [1.0, gain, gain]


def test_adascale_averages_as_in_the_paper():
    # S = 500: plain means for 1000/500 = 2 steps, then θ = 1 − 500/1000.
    moments = [two_rows(3.0, 1.0), two_rows(1.0, 3.0), two_rows(2.0, 4.0), two_rows(0.0, 0.0)]
    decisions = feed(AdaScale(scale=500.0), moments)
    assert [d.evidence["noise_variance"] for d in decisions] == [0.0, 1.0, 2.0, 3.0]
    assert [d.evidence["signal"] for d in decisions] == [0.0, 3.0, 2.0, 2.0]


def test_adascale_s_gain_is_that_of_the_gradients_without_bias():
    # Rows of variance σ² = 2 about a gradient of squared norm 1, S = 8: r = (2 + 1)/(2/8 + 1) = 2.4.
    rng, gains = np.random.default_rng(4), []
    for _ in range(40):
        policy = AdaScale()
        policy.begin(1.0, 1e-9, 1e9, None, 0)
        for step in range(100):
            rows = 0.5 + math.sqrt(0.5) * rng.normal(size=(8, 4))
            decision = policy.decide(Evidence(step, 1.0, 0.1, Moments.from_rows(rows), math.nan))
        gains.append(decision.evidence["gain"])
    assert np.mean(gains) == pytest.approx(2.4, abs=standard_errors(gains))


# -- the greedy rate ----------------------------------------------------------------------------------


def stepped(signal, noise, slope, lr=0.1, before=None):
    """Moments after a plain step at `lr`, at whose end is `slope`; `before` is |ḡ|² at its start."""
    squared_norm = signal + noise if before is None else before
    return two_rows(signal, noise, step_product=lr * slope, step_squared_norm=lr * lr * squared_norm)


def test_vsgd_by_hand_without_noise():
    # Q = 4 at the start of a step of η = .1 and p = 2 at its end: A = (4 − 2)/.1 = 20, and Q/A = .2.
    # Then p = 6, further up than before: A = −20, no curvature to go by.
    moments = [two_rows(4.0, 0.0), stepped(4.0, 0.0, 2.0), stepped(4.0, 0.0, 6.0)]
    decisions = feed(VSGD(), moments)
    np.testing.assert_allclose(rates(decisions), [1.0, 0.2, 0.2], rtol=1e-14)
    assert [d.reason for d in decisions] == [Reason.START, Reason.FORMULA, Reason.HOLD]
    assert decisions[1].evidence == pytest.approx({"slope": 0.04, "change": 0.2})  # η²Q and η(Q − p)


def test_vsgd_by_hand_with_noise_waits_for_significance():
    # Q = 2, tr Σ/B = 2, p = 1 on average: A = (2 − 1)/.1 = 10, and Q/A = .2, wherever the noise lets see it.
    rng = np.random.default_rng(7)
    for scatter, expected in ((0.01, 0.2), (40.0, 0.1)):
        slopes = (1.0 + scatter * rng.normal(size=200)).tolist()
        moments = [two_rows(2.0, 2.0), *(stepped(2.0, 2.0, slope) for slope in slopes)]
        decisions = feed(VSGD(memory=100.0), moments, base_lr=0.1)
        assert rates(decisions[:5]) == [0.1] * 5  # too few steps to tell
        assert decisions[-1].lr == pytest.approx(expected, rel=0.02 if scatter < 1.0 else 0.2)


def test_vsgd_measures_steps_of_plain_sgd_alone():
    foreign = stepped(4.0, 0.0, 2.0, before=5.0)  # |s|² is not η²|ḡ|²
    unmade = stepped(4.0, 0.0, 2.0, lr=0.0)
    one_row = Moments(1, 2.0, 1, 4.0, 0.0)
    assert rates(feed(VSGD(), [two_rows(4.0, 0.0), foreign])) == [1.0] * 2
    assert rates(feed(VSGD(), [one_row, stepped(4.0, 0.0, 2.0)])) == [1.0] * 2
    assert rates(feed(VSGD(), [two_rows(4.0, 0.0), unmade], lr=0.0)) == [1.0] * 2


@pytest.mark.parametrize("base_lr", [1e-5, 1e-2, 1.0, 100.0])
def test_vsgd_finds_the_rate_from_any_start(base_lr):
    landscape = create_noisy_landscape(dim=10, condition=30.0, noise_scale=0.3, seed=1)
    controller = NoiseAdaptiveLR(base_lr, policy=VSGD())
    params, _ = descend(controller, landscape, 600)
    assert landscape.true_loss(params) < 1e-3 * landscape.true_loss(landscape.start)


@pytest.mark.slow
def test_the_greedy_rate_falls_before_the_slow_direction_has_arrived():
    """Short-horizon bias: a constant rate brings home what the greedy one leaves on the way."""
    # Left over of the 1 that it began with: e^(−.01·.5·1000) = .007, and noise of about
    # √(.5·.03²/8 / 2·.01) = .05. The greedy rate is the best for nine directions that are there already.
    eigenvalues, left = np.array([1.0] * 9 + [0.01]), {"greedy": [], "constant": []}
    for seed in range(5):
        for name, policy in (("greedy", VSGD()), ("constant", Constant())):
            rng, params = np.random.default_rng(seed), np.ones(10)
            controller = NoiseAdaptiveLR(0.5, policy=policy)
            for _ in range(1000):
                rows = eigenvalues * params + 0.03 * rng.normal(size=(8, 10))
                lr = controller.get_adapted_lr(rows, float(eigenvalues @ params**2 / 2.0))
                params = params - lr * rows.mean(axis=0)
            left[name].append(abs(params[-1]))
    assert np.mean(left["constant"]) < 0.06
    assert np.mean(left["greedy"]) > 2.0 * np.mean(left["constant"])


# -- all of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_each_descends_and_resumes_through_the_controller(name):
    landscape = create_noisy_landscape(dim=5, condition=5.0, noise_scale=0.2, seed=2)

    def fresh():
        return NoiseAdaptiveLR(0.1, total_steps=400, policy=RULES[name]())

    whole = fresh()
    params, taken = descend(whole, landscape, 400)
    assert landscape.true_loss(params) < 0.01 * landscape.true_loss(landscape.start), whole.summary()
    landscape.reseed(2)
    first, second = fresh(), fresh()
    middle, before = descend(first, landscape, 150)
    second.load_state_dict(first.state_dict())
    params_again, after = descend(second, landscape, 250, start=middle)
    np.testing.assert_array_equal(np.concatenate([before, after]), taken)
    np.testing.assert_array_equal(params_again, params)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_each_trains_through_torch_and_its_state_can_be_kept(name, tmp_path):
    torch = pytest.importorskip("torch")
    from nalr.torch import NoiseAdaptiveLR as Scheduler
    from tests.torch.training import Training

    training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=0.1))
    scheduler = Scheduler(training.optimizer, noise="microbatches", total_steps=120, policy=RULES[name]())
    losses = training.run(120, scheduler, microbatches=4)
    assert np.mean(losses[-20:]) < 0.5 * losses[0]
    torch.save(scheduler.state_dict(), tmp_path / "state")
    again = Scheduler(
        Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=0.1)).optimizer,
        noise="microbatches",
        total_steps=120,
        policy=RULES[name](),
    )
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    kept, now = (json.dumps(s.engine.adaptive.policy.state_dict()) for s in (scheduler, again))
    assert kept == now


@pytest.mark.parametrize("name", RULES)
def test_each_decision_tells_its_numbers(name):
    decisions = feed(RULES[name](), [two_rows(3.0, 1.0)] + [stepped(3.0, 1.0, 2.0)] * 60, total_steps=61)
    told = decisions[-1].evidence
    assert told and all(isinstance(value, float) for value in told.values())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WarmupCosine(warmup=1.0), ValueError, r"`warmup` must be in \[0, 1\), got 1.0\."),
        (lambda: WarmupLinear(warmup=-0.1), ValueError, r"`warmup` must be in \[0, 1\), got -0.1\."),
        (lambda: Plateau(factor=1.0), ValueError, r"`factor` must be in \(0, 1\), got 1.0\."),
        (
            lambda: Plateau(patience=-1),
            ValueError,
            r"`patience` must be a whole number of at least 0, got",
        ),
        (lambda: Plateau(threshold=math.inf), ValueError, r"`threshold` must be at least 0 and finite, got"),
        (
            lambda: Plateau(threshold_mode="both"),
            ValueError,
            r"`threshold_mode` must be one of rel, abs",
        ),
        (lambda: Plateau(cooldown=1.5), TypeError, r"`cooldown` must be a whole number of at least 0, got"),
        (lambda: Plateau(every=0), ValueError, r"`every` must be a whole number of at least 1, got 0\."),
        (lambda: NoiseScaled(memory=0.5), ValueError, r"`memory` must be at least 1 and finite, got 0.5\."),
        (lambda: VSGD(memory=1.0), ValueError, r"`memory` must be at least 2 and finite, got 1.0\."),
        (lambda: VSGD(confidence=1.0), ValueError, r"`confidence` must be in \(0, 1\), got 1.0\."),
        (lambda: AdaScale(scale=0.5), ValueError, r"`scale` must be at least 1 and finite, got 0.5\."),
        (lambda: AdaScale("linear"), TypeError, r"`schedule` must be a Policy, got 'linear'\."),
        (lambda: SASA(factor=0.0), ValueError, r"`factor` must be in \(0, 1\), got 0.0\."),
        (lambda: SASA(confidence=0.0), ValueError, r"`confidence` must be in \(0, 1\), got 0.0\."),
        (lambda: SASA(share=0.0), ValueError, r"`share` must be in \(0, 1\], got 0.0\."),
        (lambda: SASA(fewest=15), ValueError, r"`fewest` must be a whole number of at least 16, got 15\."),
        (lambda: SASA(every="10"), TypeError, r"`every` must be a whole number of at least 1, got '10'\."),
        (lambda: PolyakStep(c=0.0), ValueError, r"`c` must be positive and finite, got 0.0\."),
        (lambda: PolyakStep(lower_bound=math.nan), ValueError, r"`lower_bound` must be finite, got nan\."),
        (lambda: MoMo(beta=1.0), ValueError, r"`beta` must be in \[0, 1\), got 1.0\."),
        (lambda: MoMo(lower_bound="0"), TypeError, r"`lower_bound` must be a real number finite, got '0'\."),
    ],
)
def test_settings_outside_of_their_range_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_settings_are_given_by_name_and_shown():
    with pytest.raises(TypeError, match="positional"):
        Plateau(0.5)
    for make in RULES.values():
        policy = make()
        assert repr(eval(repr(policy))) == repr(policy)


def test_a_state_of_other_settings_is_refused():
    saved = NoiseAdaptiveLR(0.1, policy=Plateau()).state_dict()
    with pytest.raises(ValueError, match="`state` must have been saved by"):
        NoiseAdaptiveLR(0.1, policy=Plateau(patience=3)).load_state_dict(saved)


@pytest.mark.slow
def test_the_page_of_policies_prints_what_it_says(capsys):
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", page, flags=re.DOTALL)
    assert examples
    for code, output in examples:
        exec(code, {})
        assert capsys.readouterr().out.strip() == output.strip()


@pytest.mark.parametrize("name", sorted({type(make()).__name__ for make in RULES.values()}))
def test_the_page_of_policies_names_each(name):
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
    assert f"| `{name}(" in page


@pytest.mark.parametrize("name", RULES)
def test_after_a_restart_stateful_rules_go_on_at_the_new_rate(name):
    policy = RULES[name]()
    feed(policy, [two_rows(3.0, 1.0)] * 10, total_steps=100)
    policy.restart(0.01)
    lr = policy.decide(Evidence(10, 1.0, 0.0, two_rows(3.0, 1.0), math.nan)).lr
    planned = isinstance(policy, (Schedule, AdaScale))
    assert lr > 0.01 if planned else lr == pytest.approx(0.01)
