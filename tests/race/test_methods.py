"""The methods of the race do what they are called, on the parameters that they were given."""

from __future__ import annotations

import importlib.util
import math
import pickle

import numpy as np
import pytest
from nalr_bench.race.methods.contender import Diverged
from nalr_bench.race.methods.dog_averaged import DoG
from nalr_bench.race.methods.schedule_free import ScheduleFree

from nalr.arrays.iterate_average import IterateAverage
from nalr_bench.race.methods import roster, tensors
from nalr_bench.race.methods.adascale import AdaScale
from nalr_bench.race.methods.averaged import AveragedSchedule
from nalr_bench.race.methods.movers import MOVERS
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.plateau import Plateau
from nalr_bench.race.methods.roster import CONTENDERS, missing
from nalr_bench.race.methods.schedules import Scheduled, factors

DIMENSION, BATCH = 10, 8
NATURAL = {"sgd": 0.3, "momentum": 0.03, "adamw": 0.1}


def run(contender, num_steps, base_lr=None, *, batch=BATCH, seed=3):
    """Follow a contender on ½|x|² with noise; return the stepper, the parameters and the rates."""
    rng = np.random.default_rng(seed)
    params = np.full(DIMENSION, 3.0)
    if base_lr is None:
        base_lr = NATURAL[contender.optimizer] if contender.takes_rate else math.nan
    stepper = contender.begin(params, base_lr, num_steps)
    rates = []
    for _ in range(num_steps):
        rows = params + rng.normal(size=(batch, DIMENSION))
        rates.append(stepper.step(rows, 0.5 * float(params @ params)))
    return stepper, params, rates


def present(name):
    if name in missing():
        pytest.skip(f"{missing()[name]} is not installed")
    return CONTENDERS[name]


@pytest.fixture(params=CONTENDERS)
def contender(request):
    return present(request.param)


def ordinary(optimizer, params):
    """Return the torch optimizer as one would make it, on a tensor of its own."""
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(params)
    if optimizer == "adamw":
        return tensor, torch.optim.AdamW([tensor], lr=1.0, weight_decay=0.0)
    momentum = 0.9 if optimizer == "momentum" else 0.0
    return tensor, torch.optim.SGD([tensor], lr=1.0, momentum=momentum)


@pytest.mark.parametrize("optimizer", MOVERS)
def test_movers_are_torchs_optimizers_bit_for_bit(optimizer):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    params = rng.normal(size=DIMENSION)
    tensor, reference = ordinary(optimizer, params)
    mover = MOVERS[optimizer](params)
    for step in range(50):
        rows, lr = rng.normal(size=(BATCH, DIMENSION)), 0.1 / (1 + step)
        mover.move(rows, lr)
        tensor.grad = torch.from_numpy(rows.mean(axis=0))
        reference.param_groups[0]["lr"] = lr
        reference.step()
        np.testing.assert_array_equal(params, tensor.numpy())


def test_every_contender_lowers_the_loss_in_place(contender):
    stepper, params, rates = run(contender, 200)
    judged = stepper.judged()
    assert np.isfinite(params).all()
    assert 0.5 * judged @ judged < 0.9 * 0.5 * DIMENSION * 9.0
    assert not np.array_equal(params, np.full(DIMENSION, 3.0))
    assert all(rate > 0.0 for rate in rates) or all(math.isnan(rate) for rate in rates)


def test_every_contender_pickles_and_says_the_same_of_itself(contender):
    again = pickle.loads(pickle.dumps(contender))
    assert again == contender
    assert repr(again) == repr(contender)
    assert " at 0x" not in repr(contender)  # the store knows runs by it, from one process to the next


def test_every_contender_can_be_followed_to_infinity(contender):
    params = np.full(DIMENSION, 3.0)
    stepper = contender.begin(params, 0.1 if contender.takes_rate else math.nan, 20)
    with np.errstate(all="ignore"):
        try:
            for value in (1.0, 1e200, math.inf, math.nan, math.nan):
                stepper.step(np.full((BATCH, DIMENSION), value), value)
        except Diverged:
            return
        stepper.judged()


def test_schedules_by_hand():
    assert factors("constant", 3) == [1.0, 1.0, 1.0]
    assert factors("linear", 5) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert factors("cosine", 4) == pytest.approx([1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])
    assert factors("linear", 6, warm_up=1 / 3) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("shape", ["cosine", "linear"])
@pytest.mark.parametrize("optimizer", MOVERS)
def test_schedules_end_near_zero_and_only_some_warm_up(optimizer, shape):
    pytest.importorskip("torch")
    _, _, rates = run(Scheduled(optimizer, shape), 100, 0.1)
    assert len(rates) == 100
    assert 0.0 < rates[-1] < 0.1 * 0.02
    assert rates[0] == pytest.approx(0.1 if optimizer == "sgd" else 0.1 / 5)
    assert max(rates) == pytest.approx(0.1)


def test_sgd_linear_is_the_recursion_written_out():
    _, params, rates = run(Scheduled("sgd", "linear"), 100, 0.5)
    rng, expected = np.random.default_rng(3), np.full(DIMENSION, 3.0)
    for step in range(100):
        rows = expected + rng.normal(size=(BATCH, DIMENSION))
        expected = expected - rates[step] * rows.mean(axis=0)
    np.testing.assert_allclose(params, expected, rtol=1e-12)
    assert 0.5 * params @ params < 0.1


def test_plateau_cuts_once_the_loss_stands():
    pytest.importorskip("torch")
    params = np.zeros(DIMENSION)
    stepper = Plateau("sgd").begin(params, 0.1, 1000)
    rates = [stepper.step(np.zeros((BATCH, DIMENSION)), 1.0) for _ in range(1000)]
    # One epoch of 10 steps sets the best, ten bad ones are endured, the eleventh cuts.
    assert rates[:120] == [0.1] * 120
    assert rates[120] == pytest.approx(0.01)


def test_adascale_gains_by_the_noise_alone():
    present("sgd adascale")
    exact, noisy = AdaScale(), AdaScale()
    params = np.full(DIMENSION, 3.0)
    still = exact.begin(params, 0.1, 1000).step(np.ones((BATCH, DIMENSION)), 1.0)
    np.testing.assert_allclose(params, 2.9, rtol=1e-6)
    assert still == pytest.approx(0.1, rel=1e-4)
    rng = np.random.default_rng(0)
    stepper = noisy.begin(np.zeros(DIMENSION), 0.1, 10_000)
    gains = [stepper.step(rng.normal(size=(BATCH, DIMENSION)), 1.0) / 0.1 for _ in range(200)]
    assert 1.7 < gains[-1] <= 2.0


def test_adascale_takes_a_single_row_at_the_schedules_rate():
    present("sgd adascale")
    _, _, rates = run(AdaScale(), 100, 0.1, batch=1)
    assert rates == pytest.approx([0.1 * factor for factor in factors("linear", 100)])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_schedule_free_is_judged_elsewhere_and_looking_changes_nothing(optimizer):
    present("schedule-free sgd")
    stepper, params, _ = run(ScheduleFree(optimizer), 100)
    trained = params.copy()
    judged = stepper.judged()
    assert not np.allclose(judged, trained)
    np.testing.assert_array_equal(params, trained)
    np.testing.assert_array_equal(stepper.judged(), judged)


def test_dog_is_judged_by_its_average():
    present("dog")
    rng = np.random.default_rng(3)
    params, average = np.full(DIMENSION, 3.0), np.full(DIMENSION, 3.0)
    stepper = DoG("sgd").begin(params, math.nan, 100)
    for step in range(1, 101):
        stepper.step(params + rng.normal(size=(BATCH, DIMENSION)), 1.0)
        average += 9.0 / (8.0 + step) * (params - average)
    np.testing.assert_allclose(stepper.judged(), average, rtol=1e-10)


@pytest.mark.parametrize("peer", roster.PEERS, ids=lambda peer: peer.name)
def test_peers_on_shared_memory_step_as_on_tensors_of_their_own(peer):
    present(peer.name)
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    params = np.full(DIMENSION, 3.0)
    tensor = torch.tensor(params)
    optimizer = peer.make(tensor, 40)
    peak = optimizer.param_groups[0]["lr"]
    stepper = peer.begin(params, math.nan, 40)
    for factor in factors(peer.shape, 40, peer.warm_up):
        rows, loss = params + rng.normal(size=(BATCH, DIMENSION)), 0.5 * float(params @ params)
        stepper.step(rows, loss)
        tensor.grad = torch.tensor(rows.mean(axis=0))
        optimizer.param_groups[0]["lr"] = peak * factor
        if peer.package == "momo":
            optimizer.step(loss=torch.tensor(loss, dtype=torch.float64))
        else:
            optimizer.step()
        np.testing.assert_array_equal(params, tensor.numpy())


def test_peers_follow_their_multiplier_alone():
    present("d-adapt sgd")
    _, constant, _ = run(CONTENDERS["d-adapt sgd"], 5)
    _, falling, _ = run(CONTENDERS["d-adapt sgd linear"], 5)
    assert not np.array_equal(constant, falling)
    for name in ("prodigy", "prodigy cosine"):
        assert CONTENDERS[name].warm_up == 0.0
    assert CONTENDERS["mechanic adamw linear"].warm_up == 0.05


def test_settings_of_ours_reach_the_policy():
    bolder = Nalr("sgd", settings=(("ramp", 2.0),), label="bold")
    assert bolder.name == "nalr sgd bold"
    assert Nalr("adamw", horizon=False).name == "nalr adamw anytime"
    assert run(bolder, 200)[2] != run(Nalr("sgd"), 200)[2]
    with pytest.raises(TypeError, match="nonsense"):
        Nalr("sgd", settings=(("nonsense", 1.0),)).begin(np.ones(2), 0.1, 10)


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [
        (Nalr("sgd", horizon=False), Nalr("sgd", horizon=False, averaged=True)),
        (Scheduled("sgd", "constant"), AveragedSchedule("sgd", "constant")),
    ],
)
def test_averaged_takes_the_same_steps_and_hands_out_their_average(plain, averaged):
    rng = np.random.default_rng(0)
    runs = [(params, each.begin(params, 0.1, 50)) for each in (plain, averaged) for params in [np.ones(3)]]
    average = IterateAverage()
    for _ in range(50):
        rows = runs[0][0] + rng.normal(size=(4, 3))
        assert len({stepper.step(rows, 1.0) for _, stepper in runs}) == 1
        average.update(runs[0][0])
    (last, stepper), (same, other) = runs
    assert np.array_equal(last, same) and np.array_equal(stepper.judged(), last)
    assert np.array_equal(other.judged(), average.average) and not np.allclose(average.average, last)
    assert averaged.name == f"{plain.name} averaged"


def test_the_roster_is_keyed_by_name_and_knows_who_takes_a_rate():
    assert len(CONTENDERS) == len(roster.ENTRANTS)
    assert all(not peer.takes_rate and peer.tuning_free for peer in roster.PEERS)
    assert all(ours.takes_rate and ours.tuning_free for ours in roster.OURS)
    assert all(rule.takes_rate and not rule.tuning_free for rule in roster.SCHEDULES)


def test_what_is_missing_is_said_and_refused(monkeypatch):
    def find_spec(name):
        return None if name in ("dog", "fairscale") else importlib.util.find_spec(name)

    monkeypatch.setattr(roster, "find_spec", find_spec)
    monkeypatch.setattr(tensors, "find_spec", find_spec)
    absent = missing()
    assert absent["dog"] == "dog-optimizer"
    assert absent["sgd adascale"] == "fairscale"
    assert "nalr sgd" not in absent and "sgd linear" not in absent
    with pytest.raises(ImportError, match=r'"dog" needs the package dog: pip install "nalr\[race\]"'):
        DoG("sgd").begin(np.ones(2), math.nan, 10)


def test_without_torch_only_plain_sgd_is_left(monkeypatch):
    monkeypatch.setattr(roster, "find_spec", lambda name: None if name == "torch" else object())
    left = {name for name in CONTENDERS if name not in missing()}
    ours = {"nalr sgd", "nalr sgd anytime", "nalr sgd anytime averaged"}
    schedules = {"sgd constant", "sgd constant averaged", "sgd cosine", "sgd linear"}
    assert left == ours | schedules | {rule.name for rule in roster.PUBLISHED}
    assert set(missing().values()) == {"torch"}
