"""The methods of the race do what they are called, on problems and on tasks alike."""

from __future__ import annotations

import importlib.util
import math
import pickle
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from nalr.arrays.iterate_average import IterateAverage
from nalr_bench.race.methods import roster, tensors
from nalr_bench.race.methods.adascale import AdaScale
from nalr_bench.race.methods.averaged import AveragedSchedule
from nalr_bench.race.methods.method import PROBLEM, TASK, Diverged
from nalr_bench.race.methods.movers import MOVERS
from nalr_bench.race.methods.ours import Nalr
from nalr_bench.race.methods.peers import PEERS
from nalr_bench.race.methods.plateau import Plateau
from nalr_bench.race.methods.roster import METHODS, SETS, missing
from nalr_bench.race.methods.schedules import Scheduled, factors, usual_warm_up

DIMENSION, BATCH = 10, 8
SIZES = [7, 3]  # of a task's two parameters
NATURAL = {"sgd": 0.3, "momentum": 0.03, "adamw": 0.1}
CASES = [(kind, name) for name, method in METHODS.items() for kind in method.kinds]


class Run(NamedTuple):
    """A run on ½|x|² with noise from x = 3: its parameters now, what is judged, and the rates so far."""

    step: Callable[[], float]
    parameters: Callable[[], np.ndarray]
    judged: Callable[[], np.ndarray]


def begin(method, kind, num_steps, base_lr=None, *, batch=BATCH):
    """Begin a run of a method on a problem or on a task, with the same noise."""
    if base_lr is None:
        base_lr = NATURAL[method.optimizer] if method.takes_rate else math.nan
    noise = np.random.default_rng(3)
    begin_on = on_problem if kind == PROBLEM else on_task
    return begin_on(method, num_steps, base_lr, lambda: noise.normal(size=(batch, DIMENSION)))


def on_problem(method, num_steps, base_lr, noise):
    params = np.full(DIMENSION, 3.0)
    stepper = method.begin(params, base_lr, num_steps)
    return Run(
        lambda: stepper.step(params + noise(), 0.5 * float(params @ params)),
        params.copy,
        lambda: stepper.judged().copy(),
    )


def on_task(method, num_steps, base_lr, noise):
    torch = pytest.importorskip("torch")
    model = torch.nn.ParameterList([torch.full((size,), 3.0) for size in SIZES])
    training = method.begin_training(model, base_lr, num_steps)

    def step():
        total = 0.0
        for part in torch.from_numpy(noise()).float().chunk(method.microbatches):
            parts = zip(model.parameters(), part.mean(0).split(SIZES), strict=True)
            loss = sum(0.5 * x @ x + x @ push for x, push in parts) / method.microbatches
            loss.backward()
            total = total + loss.detach()
        rate = training.step(total)
        for parameter in model.parameters():
            parameter.grad = None
        return rate

    def judged():
        with training.judged() as average:
            return values(average)

    return Run(step, lambda: values(model), judged)


def values(model):
    return np.concatenate([parameter.detach().numpy().copy() for parameter in model.parameters()])


def follow(method, kind, num_steps, base_lr=None, *, batch=BATCH):
    """Return a run after its last step, and its rates."""
    run = begin(method, kind, num_steps, base_lr, batch=batch)
    return run, [run.step() for _ in range(num_steps)]


def present(name):
    method = METHODS[name]
    if missing(method):
        pytest.skip(f"{missing(method)} is not installed")
    return method


@pytest.fixture(params=CASES, ids=" ".join)
def case(request):
    kind, name = request.param
    return present(name), kind


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]


class TestEveryMethod:
    def test_lowers_the_loss_in_place(self, case):
        run, rates = follow(*case, 200)
        judged = run.judged()
        assert 0.5 * judged @ judged < 0.9 * 0.5 * DIMENSION * 9.0
        assert np.isfinite(run.parameters()).all() and (run.parameters() != 3.0).any()
        assert all(rate > 0.0 for rate in rates) or all(math.isnan(rate) for rate in rates)

    def test_to_be_judged_changes_nothing(self, case):
        judged, undisturbed = begin(*case, 30), begin(*case, 30)
        for step in range(30):
            judged.step()
            undisturbed.step()
            if step == 15:
                before, first = judged.parameters(), judged.judged()
                np.testing.assert_array_equal(judged.parameters(), before)
                np.testing.assert_array_equal(judged.judged(), first)
        np.testing.assert_array_equal(judged.parameters(), undisturbed.parameters())

    def test_can_be_followed_to_infinity(self, case):
        method, kind = case
        levels = iter((1.0, 1e200, math.inf, math.nan, math.nan))
        noise = lambda: np.full((BATCH, DIMENSION), next(levels))  # noqa: E731
        base_lr = 0.1 if method.takes_rate else math.nan
        run = (on_problem if kind == PROBLEM else on_task)(method, 20, base_lr, noise)
        with np.errstate(all="ignore"):
            try:
                for _ in range(5):
                    run.step()
            except Diverged:
                return
            run.judged()

    def test_pickles_and_says_the_same_of_itself(self, method):
        again = pickle.loads(pickle.dumps(method))
        assert again == method and repr(again) == repr(method)
        assert " at 0x" not in repr(method)  # the store knows runs by it, from one process to the next

    def test_races_on_something_and_refuses_the_rest(self, method):
        assert method.kinds and set(method.kinds) <= {PROBLEM, TASK}
        assert method.microbatches == 1 or method.kinds == (TASK,)


class TestOptimizers:
    @pytest.mark.parametrize("optimizer", MOVERS)
    def test_movers_are_torchs_optimizers_bit_for_bit(self, optimizer):
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

    @pytest.mark.parametrize(
        "name",
        [name for name, each in METHODS.items() if len(each.kinds) == 2 and not isinstance(each, Nalr)],
    )
    def test_schedules_and_peers_take_the_same_steps_on_both_kinds(self, name):
        torch = pytest.importorskip("torch")
        method, rng = present(name), np.random.default_rng(5)
        params = np.full(DIMENSION, 3.0)
        model = torch.nn.ParameterList([torch.tensor(params)])
        stepper, training = method.begin(params, 0.1, 40), method.begin_training(model, 0.1, 40)
        for _ in range(40):
            rows, loss = params + rng.normal(size=(BATCH, DIMENSION)), 0.5 * float(params @ params)
            model[0].grad = torch.from_numpy(rows.mean(axis=0))
            stepper.step(rows, loss)
            training.step(torch.tensor(loss))
            np.testing.assert_array_equal(values(model), params)


def ordinary(optimizer, params):
    """Return the torch optimizer as one would make it, on a tensor of its own."""
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(params)
    if optimizer == "adamw":
        return tensor, torch.optim.AdamW([tensor], lr=1.0, weight_decay=0.0)
    momentum = 0.9 if optimizer == "momentum" else 0.0
    return tensor, torch.optim.SGD([tensor], lr=1.0, momentum=momentum)


class TestSchedules:
    def test_factors_by_hand(self):
        assert factors("constant", 3) == [1.0, 1.0, 1.0]
        assert factors("linear", 5) == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
        half = math.sqrt(0.125)
        assert factors("cosine", 4) == pytest.approx([1.0, 0.5 + half, 0.5, 0.5 - half])
        assert factors("linear", 6, warm_up=1 / 3) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])

    @pytest.mark.parametrize("shape", ["cosine", "linear"])
    @pytest.mark.parametrize(
        ("optimizer", "kind"),
        [("sgd", PROBLEM), *((each, kind) for each in ("momentum", "adamw") for kind in (PROBLEM, TASK))],
    )
    def test_they_end_near_zero_and_only_some_warm_up(self, optimizer, kind, shape):
        pytest.importorskip("torch")
        _, rates = follow(Scheduled(optimizer, shape), kind, 100, 0.1)
        assert 0.0 < rates[-1] < 0.1 * 0.02
        assert rates[0] == pytest.approx(0.1 if optimizer == "sgd" else 0.1 / 5)
        assert max(rates) == pytest.approx(0.1)

    def test_sgd_linear_is_the_recursion_written_out(self):
        run, rates = follow(Scheduled("sgd", "linear"), PROBLEM, 100, 0.5)
        rng, expected = np.random.default_rng(3), np.full(DIMENSION, 3.0)
        for rate in rates:
            rows = expected + rng.normal(size=(BATCH, DIMENSION))
            expected = expected - rate * rows.mean(axis=0)
        np.testing.assert_allclose(run.parameters(), expected, rtol=1e-12)

    def test_on_tasks_they_are_torchs_scheduler(self):
        torch = pytest.importorskip("torch")
        optimizer = torch.optim.AdamW([torch.zeros(1)], lr=0.1)
        multipliers = factors("cosine", 40, usual_warm_up("adamw", "cosine"))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [*multipliers, 0.0].__getitem__)
        _, rates = follow(Scheduled("adamw", "cosine"), TASK, 40, 0.1)
        for rate in rates:
            assert rate == optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()

    def test_plateau_cuts_once_the_loss_no_longer_falls(self):
        pytest.importorskip("torch")
        stepper = Plateau("sgd").begin(np.zeros(DIMENSION), 0.1, 1000)
        rates = [stepper.step(np.zeros((BATCH, DIMENSION)), 1.0) for _ in range(1000)]
        # One epoch of 10 steps sets the best, ten bad ones are endured, the eleventh cuts.
        assert rates[:120] == [0.1] * 120
        assert rates[120] == pytest.approx(0.01)

    def test_adascale_gains_by_the_noise_alone(self):
        present("sgd adascale")
        params = np.full(DIMENSION, 3.0)
        exact = AdaScale().begin(params, 0.1, 1000).step(np.ones((BATCH, DIMENSION)), 1.0)
        np.testing.assert_allclose(params, 2.9, rtol=1e-6)
        assert exact == pytest.approx(0.1, rel=1e-4)
        rng = np.random.default_rng(0)
        stepper = AdaScale().begin(np.zeros(DIMENSION), 0.1, 10_000)
        gains = [stepper.step(rng.normal(size=(BATCH, DIMENSION)), 1.0) / 0.1 for _ in range(200)]
        assert 1.7 < gains[-1] <= 2.0

    def test_adascale_takes_a_single_row_at_the_schedules_rate(self):
        present("sgd adascale")
        _, rates = follow(AdaScale(), PROBLEM, 100, 0.1, batch=1)
        assert rates == pytest.approx([0.1 * factor for factor in factors("linear", 100)])


class TestPeers:
    @pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
    def test_they_are_their_packages_optimizer_at_their_schedule(self, peer):
        present(peer.name)
        torch = pytest.importorskip("torch")
        rng, lr = np.random.default_rng(5), 0.1 if peer.lr is None else peer.lr
        params = np.full(DIMENSION, 3.0)
        tensor = torch.tensor(params)
        optimizer = peer.spec.make([tensor], lr, 40)
        if peer.spec.judged == "eval":
            optimizer.train()
        stepper = peer.begin(params, 0.1, 40)
        for factor in factors(peer.shape, 40, peer.warm_up):
            rows, loss = params + rng.normal(size=(BATCH, DIMENSION)), 0.5 * float(params @ params)
            stepper.step(rows, loss)
            tensor.grad = torch.tensor(rows.mean(axis=0))
            optimizer.param_groups[0]["lr"] = lr * factor
            told = {"loss": torch.tensor(loss, dtype=torch.float64)} if peer.spec.takes_loss else {}
            optimizer.step(**told)
            np.testing.assert_array_equal(params, tensor.numpy())

    @pytest.mark.parametrize(
        "peer",
        [each for each in PEERS if not each.takes_rate and not each.name.startswith("mechanic")],
        ids=lambda peer: peer.name,
    )
    def test_a_fixed_rate_is_the_packages_default(self, peer):
        """Mechanic has none: a rate goes to the optimizer that it wraps."""
        present(peer.name)
        torch = pytest.importorskip("torch")
        package = importlib.import_module(peer.spec.package)
        default = getattr(package, peer.spec.maker)([torch.zeros(1)])
        assert default.param_groups[0]["lr"] == peer.lr

    def test_they_follow_their_schedule(self):
        present("d-adapt sgd")
        constant, _ = follow(METHODS["d-adapt sgd"], PROBLEM, 5)
        falling, _ = follow(METHODS["d-adapt sgd linear"], PROBLEM, 5)
        assert not np.array_equal(constant.parameters(), falling.parameters())

    @pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
    def test_their_warm_up_is_that_of_the_tuned_schedules_but_for_prodigy(self, peer):
        expected = 0.0 if peer.name.startswith("prodigy") else usual_warm_up(peer.optimizer, peer.shape)
        assert peer.warm_up == expected

    @pytest.mark.parametrize(
        ("kind", "name"),
        [(kind, name) for kind, name in CASES if name.startswith("schedule-free")],
    )
    def test_schedule_free_is_judged_elsewhere(self, kind, name):
        run, _ = follow(present(name), kind, 100)
        assert not np.allclose(run.judged(), run.parameters())

    @pytest.mark.parametrize(("kind", "name"), [(PROBLEM, "dog"), (TASK, "dog momentum")])
    def test_dog_is_judged_by_its_average(self, kind, name):
        run = begin(present(name), kind, 100)
        average = run.parameters()
        for step in range(1, 101):
            run.step()
            average += 9.0 / (8.0 + step) * (run.parameters() - average)
        np.testing.assert_allclose(run.judged(), average, rtol=1e-10 if kind == PROBLEM else 1e-4)


class TestOurs:
    @pytest.mark.parametrize(("kind", "optimizer"), [(PROBLEM, "sgd"), (TASK, "momentum")])
    def test_settings_reach_the_policy(self, kind, optimizer):
        bolder = Nalr(optimizer, settings=(("ramp", 2.0),), label="bold")
        assert bolder.name == f"nalr {optimizer} bold"
        assert follow(bolder, kind, 200)[1] != follow(Nalr(optimizer), kind, 200)[1]
        with pytest.raises(TypeError, match="nonsense"):
            begin(Nalr(optimizer, settings=(("nonsense", 1.0),)), kind, 10)

    def test_names_say_what_is_not_the_default(self):
        assert Nalr("adamw", horizon=False).name == "nalr adamw anytime"
        assert Nalr("adamw", microbatches=2).name == "nalr adamw microbatches"

    @pytest.mark.parametrize(
        ("plain", "averaged"),
        [
            (Nalr("sgd", horizon=False), Nalr("sgd", horizon=False, averaged=True)),
            (Scheduled("sgd", "constant"), AveragedSchedule("sgd", "constant")),
        ],
    )
    def test_averaged_takes_the_same_steps_and_is_judged_by_their_average(self, plain, averaged):
        last, other = (begin(each, PROBLEM, 50) for each in (plain, averaged))
        average = IterateAverage()
        for _ in range(50):
            assert last.step() == other.step()
            average.update(last.parameters())
        assert np.array_equal(last.parameters(), other.parameters())
        assert np.array_equal(other.judged(), average.average)
        assert not np.allclose(average.average, last.judged())
        assert averaged.name == f"{plain.name} averaged"


class TestRoster:
    def test_names_are_unique_and_no_method_is_in_two_sets(self):
        sets = {id(methods): methods for methods in SETS.values()}
        assert len(METHODS) == sum(map(len, sets.values()))
        assert all(METHODS[name].name == name for name in METHODS)

    def test_sets_differ_in_who_takes_a_rate_and_who_is_tuned(self):
        assert all(peer.tuning_free and not (peer.takes_rate and PROBLEM in peer.kinds) for peer in PEERS)
        assert all(ours.takes_rate and ours.tuning_free for ours in SETS["ours"])
        assert all(rule.takes_rate and not rule.tuning_free for rule in SETS["schedules"])

    def test_what_is_missing_is_said_and_refused(self, monkeypatch):
        def find_spec(name):
            return None if name in ("dog", "fairscale") else importlib.util.find_spec(name)

        monkeypatch.setattr(roster, "find_spec", find_spec)
        monkeypatch.setattr(tensors, "find_spec", find_spec)
        assert missing(METHODS["dog"]) == "dog-optimizer"
        assert missing(METHODS["sgd adascale"]) == "fairscale"
        assert missing(METHODS["nalr sgd"]) is None and missing(METHODS["sgd linear"]) is None
        message = r'"dog" needs the package dog: pip install "nalr\[race\]"'
        with pytest.raises(ImportError, match=message):
            begin(METHODS["dog"], PROBLEM, 10)

    def test_without_torch_only_plain_sgd_is_left(self, monkeypatch):
        monkeypatch.setattr(roster, "find_spec", lambda name: None if name == "torch" else object())
        left = {name for name, method in METHODS.items() if not missing(method)}
        ours = {"nalr sgd", "nalr sgd anytime", "nalr sgd anytime averaged"}
        schedules = {"sgd constant", "sgd constant averaged", "sgd cosine", "sgd linear"}
        assert left == ours | schedules | {rule.name for rule in roster.PUBLISHED}
        assert all(missing(method) == "torch" for name, method in METHODS.items() if name not in left)

    @pytest.mark.parametrize("method", [AdaScale(), Plateau("sgd"), AveragedSchedule("sgd", "constant")])
    def test_methods_of_problems_refuse_networks(self, method):
        assert method.kinds == (PROBLEM,)
        with pytest.raises(TypeError, match="does not train networks"):
            method.begin_training(None, 0.1, 10)
