"""Steps of every kind: closures, subclasses, stand-ins, tensor rates, gradients that are not there."""

from __future__ import annotations

import copy
import io

import pytest
import torch

import nalr.torch
from tests.torch.training import OPTIMIZERS, Training, effective, same_bits

EACH = pytest.mark.parametrize("name", OPTIMIZERS)


def closure_of(training: Training, step: int, calls: list | None = None):
    def closure():
        loss = training.backward(step)
        if calls is not None:
            calls.append(loss.item())
        return loss

    return closure


# -- closures ---------------------------------------------------------------------------------------


def test_before_a_closure_there_is_no_gradient_to_see():
    """What a hook that looks at gradients before the step finds, and why ours looks after the closure."""
    training, seen = Training(OPTIMIZERS["sgd"]), []
    training.optimizer.register_step_pre_hook(
        lambda o, args, kwargs: seen.append([p.grad for p in training.model.parameters()])
    )
    training.optimizer.step(closure_of(training, 0))
    assert seen == [[None] * 4]


@EACH
@pytest.mark.parametrize("how", ["positional", "keyword", "wrapper"])
def test_steps_with_closures_decide_as_those_with_losses(name, how):
    plain, closed = Training(OPTIMIZERS[name]), Training(OPTIMIZERS[name])
    expected = nalr.torch.NoiseAdaptiveOptimizer(plain.optimizer)
    if how == "wrapper":
        adaptive = nalr.torch.NoiseAdaptiveOptimizer(closed.optimizer)
    else:
        adaptive = nalr.torch.NoiseAdaptiveLR(closed.optimizer)
    for step in range(40):
        expected.step(loss=plain.backward(step))
        closure = closure_of(closed, step)
        if how == "positional":
            loss = closed.optimizer.step(closure)
        elif how == "keyword":
            loss = closed.optimizer.step(closure=closure)
        else:
            loss = adaptive.step(closure)
        assert torch.is_tensor(loss)
        if how != "wrapper":
            adaptive.step()  # as a trainer does that knows no metric
    assert same_bits(plain.everything(), closed.everything())
    assert adaptive.lr == expected.lr != adaptive.controller.base_lr


def test_only_the_first_of_many_calls_of_a_closure_is_measured():
    training, calls = Training(lambda t: torch.optim.LBFGS(t.model.parameters(), lr=0.1, max_iter=5)), []
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(4):
        first = len(calls)
        training.optimizer.step(closure_of(training, step, calls))
        scheduler.step()
        assert scheduler.history.to_numpy()["loss"][-1] == pytest.approx(calls[first], rel=1e-7)
    assert len(calls) > 8 and len(scheduler.history) == 4
    assert calls[-1] < calls[0]


def test_a_closure_without_a_loss_uses_the_loss_given():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(5):
        training.optimizer.step(lambda step=step: training.backward(step) and None)
        scheduler.step(3.0)
    assert len(scheduler.history) == 5


def test_a_closure_that_raises_leaves_the_users_rates():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    for step in range(40):
        wrapper.step(loss=training.backward(step))

    def closure():
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        wrapper.step(closure)
    with pytest.raises(RuntimeError, match="no data"):
        training.optimizer.step(closure)
    assert training.optimizer.param_groups[0]["lr"] == 0.01
    wrapper.step(loss=training.backward(40))
    assert len(wrapper.history) == 41


# -- who is an optimizer ----------------------------------------------------------------------------


class Decorated(torch.optim.SGD):
    """A subclass whose step calls that of its base."""

    raises = False

    def step(self, closure=None):
        if self.raises:
            raise RuntimeError("out of memory")
        return super().step(closure)


def test_a_subclass_that_calls_its_base_is_measured_once():
    calls = []
    torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)  # from now on, SGD.step calls hooks itself
    plain = Training(OPTIMIZERS["sgd"])
    training = Training(lambda t: Decorated(t.model.parameters(), lr=0.01))
    expected = nalr.torch.NoiseAdaptiveLR(plain.optimizer)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.optimizer.register_step_pre_hook(lambda *_: calls.append(1))
    for step in range(30):
        for each, ours in ((plain, expected), (training, scheduler)):
            loss = each.backward(step)
            each.optimizer.step()
            ours.step(loss)
        if step == 10:
            training.optimizer.raises = True
            with pytest.raises(RuntimeError, match="out of memory"):
                training.optimizer.step()
            scheduler.step(loss)
            training.optimizer.raises = False
    assert len(calls) == 61  # a naive hook: twice a step
    assert abs(len(scheduler.history) - len(expected.history)) <= 1  # the step that raised was decided
    assert training.optimizer.param_groups[0]["lr"] == 0.01


def test_a_step_that_raised_does_not_silence_the_next():
    training = Training(lambda t: Decorated(t.model.parameters(), lr=0.01))
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(5, scheduler)
    training.optimizer.raises = True
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            training.optimizer.step()
        scheduler.step(1.0)
        assert training.optimizer.param_groups[0]["lr"] == 0.01  # before another schedule looks there
    training.optimizer.raises = False
    steps = scheduler.engine.steps
    training.run(5, scheduler, first=5)
    assert scheduler.engine.steps == steps + 5 and training.optimizer.param_groups[0]["lr"] == 0.01


class Accelerated(torch.optim.Optimizer):
    """As Accelerate's: an Optimizer by class that has no hooks, with the real one inside."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self, closure=None):
        self.optimizer.step(closure)

    def zero_grad(self, set_to_none=None):
        self.optimizer.zero_grad()

    @property
    def param_groups(self):
        return self.optimizer.param_groups


class Delegating:
    """As Lightning's: everything is asked of the real one."""

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def __getattr__(self, name):
        return getattr(self._optimizer, name)


@pytest.mark.parametrize("outside", [Accelerated, Delegating, lambda o: Accelerated(Delegating(o))])
def test_stand_ins_are_looked_through(outside):
    training, plain = Training(OPTIMIZERS["adamw"]), Training(OPTIMIZERS["adamw"])
    optimizer = outside(training.optimizer)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    expected = nalr.torch.NoiseAdaptiveLR(plain.optimizer)
    for step in range(30):
        loss = training.backward(step)
        optimizer.step()
        scheduler.step(loss)
    plain.run(30, expected)
    assert scheduler.lr == expected.lr and same_bits(training.everything(), plain.everything())


class Partitioned:
    """As DeepSpeed's."""

    __module__ = "deepspeed.runtime.zero.stage3"


class Hookless(torch.optim.Optimizer):
    """An Optimizer by class alone."""

    def __init__(self):
        self.param_groups = []


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (None, "must be a torch.optim.Optimizer with step hooks, got NoneType"),
        (3.0, "must be a torch.optim.Optimizer with step hooks, got float"),
        (Hookless(), "must be a torch.optim.Optimizer with step hooks, got Hookless"),
        (Accelerated(Partitioned()), "got one of DeepSpeed, which partitions them. Drive"),
    ],
)
@pytest.mark.parametrize("form", [nalr.torch.NoiseAdaptiveLR, nalr.torch.NoiseAdaptiveOptimizer])
def test_what_is_no_optimizer_is_refused_with_a_sentence(form, optimizer, message):
    with pytest.raises(TypeError, match=message):
        form(optimizer)


def test_what_leaves_no_whole_gradient_is_refused():
    sharded = torch.nn.Parameter(torch.ones(3))
    sharded.to_local = lambda: sharded
    flattened = torch.nn.Parameter(torch.ones(3))
    flattened._fsdp_flattened = True
    for parameter in (sharded, flattened):
        with pytest.raises(TypeError, match="must hold whole tensors, got a DTensor"):
            nalr.torch.NoiseAdaptiveLR(torch.optim.SGD([parameter], lr=0.1))
    phase = torch.nn.Parameter(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"real floating-point parameters, got one of torch.complex64"):
        nalr.torch.NoiseAdaptiveLR(torch.optim.SGD([phase], lr=0.1))
    still = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.0)
    with pytest.raises(ValueError, match="must have a group with a positive learning rate"):
        nalr.torch.NoiseAdaptiveLR(still)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_optimizers_in_the_backward_are_refused():
    from torch.distributed.optim import _apply_optimizer_in_backward

    model = torch.nn.Linear(2, 2)
    _apply_optimizer_in_backward(torch.optim.SGD, model.parameters(), {"lr": 0.1})
    with pytest.raises(TypeError, match="must step after the backward: this model's optimizers run inside"):
        nalr.torch.NoiseAdaptiveLR(torch.optim.SGD(model.parameters(), lr=0.1))


def test_sparse_gradients_are_refused_when_they_come_and_rates_stay():
    table = torch.nn.Embedding(10, 3, sparse=True)
    optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer)
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(TypeError, match=r"must be dense, got torch.sparse_coo .* Build its layer with"):
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1
    scheduler.detach()
    optimizer.step()


# -- tensor rates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_a_rate_in_a_tensor_is_filled_and_put_back(form):
    rate = torch.tensor(0.001)
    training = Training(lambda t: torch.optim.AdamW(t.model.parameters(), lr=rate, foreach=False))
    seen = []
    if form == "scheduler":
        adaptive = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    else:
        adaptive = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    training.optimizer.register_step_pre_hook(
        lambda o, *_: seen.append((o.param_groups[0]["lr"], rate.item()))
    )
    for step in range(40):
        loss = training.backward(step)
        if form == "scheduler":
            training.optimizer.step()
            adaptive.step(loss)
        else:
            adaptive.step(loss=loss)
    assert all(tensor is rate for tensor, _ in seen) and training.optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == torch.tensor(0.001).item() and len({value for _, value in seen}) > 10


def test_tensor_and_float_rates_train_alike():
    rates = []
    for rate in (0.0009765625, torch.tensor(0.0009765625)):  # a power of two, exact in float32
        training = Training(
            lambda t, rate=rate: torch.optim.AdamW(t.model.parameters(), lr=rate, foreach=False)
        )
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        training.run(20, scheduler)
        rates.append(scheduler.lr)
    assert rates[1] == pytest.approx(rates[0], rel=1e-4)


# -- gradients --------------------------------------------------------------------------------------


def test_a_parameter_without_a_gradient_counts_as_one_of_zeros():
    rates = []
    for zeros in (False, True):
        training = Training(OPTIMIZERS["momentum"])
        extra = torch.nn.Parameter(torch.ones(5))
        training.optimizer.add_param_group({"params": [extra]})
        scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
        for step in range(30):
            loss = training.backward(step, 2)
            extra.grad = torch.zeros(5) if zeros else None
            training.optimizer.step()
            scheduler.step(loss)
        rates.append(scheduler.history.to_numpy()["lr"])
    assert (rates[0] == rates[1]).all()


def test_gradients_may_be_missing_at_times():
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(60):
        loss = training.backward(step, 1 + step % 3 % 2)
        if step % 4 == 1:
            next(training.model.parameters()).grad = None
        training.optimizer.step()
        scheduler.step(loss)
    assert scheduler.reading().nonfinite == 0 and scheduler.lr > 0.0


def test_a_step_without_any_gradient_takes_no_part():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(5, scheduler)
    training.optimizer.zero_grad()
    training.optimizer.step()
    assert len(scheduler.history) == scheduler.engine.steps == 5


def test_a_frozen_parameter_is_left_alone():
    training = Training(OPTIMIZERS["sgd"])
    first = next(training.model.parameters())
    first.requires_grad_(False)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(20, scheduler)
    assert first.grad is None and len(scheduler.history) == 20


@pytest.mark.parametrize("microbatches", [1, 2])
def test_a_group_added_in_mid_run_is_measured_from_then_on(microbatches):
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    seen = effective(training.optimizer)
    training.run(20, scheduler, microbatches=microbatches)
    head = torch.nn.Linear(1, 1)
    training.model.append(head)
    training.optimizer.add_param_group({"params": head.parameters(), "lr": 0.002})
    training.run(20, scheduler, first=20, microbatches=microbatches)
    assert scheduler.engine.measurement.path.dimension == sum(p.numel() for p in training.model.parameters())
    assert seen[-1][1] / seen[-1][0] == pytest.approx(0.2) and scheduler.get_last_lr() == seen[-1]
    assert scheduler.reading().source == ("steps" if microbatches == 1 else "microbatches")
    scheduler.detach()
    assert not head.weight._backward_hooks


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_gradients_that_are_not_finite_take_no_part(name):
    """The user puts parameters and state right after each, and the path begins anew."""
    training = Training(OPTIMIZERS[name])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    for step in range(30):
        before = training.model.state_dict(), training.optimizer.state_dict()
        before = {k: v.clone() for k, v in before[0].items()}
        loss = training.backward(step)
        if step in (10, 11):
            training.model[0].weight.grad[0, 0] = torch.nan
            lr = wrapper.lr
        wrapper.step(loss=loss)
        if step in (10, 11):
            assert str(wrapper.last_decision.reason) == "skip" and wrapper.lr <= lr
            training.model.load_state_dict(before)
            for state in training.optimizer.state.values():
                for value in state.values():
                    value.nan_to_num_(0.0)
    decision = wrapper.last_decision
    assert decision.reason != "skip" and decision.evidence["displacement_signal"] == pytest.approx(
        decision.evidence["displacement_signal"]
    )
    assert wrapper.reading().nonfinite == 2


# -- the wrapper ------------------------------------------------------------------------------------


def test_the_wrapper_is_the_optimizer():
    training = Training(OPTIMIZERS["adamw"])
    inner = training.optimizer
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(inner)
    assert isinstance(wrapper, torch.optim.Optimizer)
    assert wrapper.param_groups is inner.param_groups and wrapper.state is inner.state
    assert wrapper.defaults is inner.defaults and "AdamW" in repr(wrapper)
    wrapper.zero_grad()
    assert all(p.grad is None for p in training.model.parameters())
    with pytest.raises(AttributeError):
        _ = wrapper.nonsense
    with pytest.raises(TypeError, match="cannot be pickled or copied; save its `state_dict"):
        copy.deepcopy(wrapper)
    wrapper.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
    assert len(inner.param_groups) == 2 and wrapper.detach() is inner


def test_torch_schedules_accept_the_wrapper():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    schedule = torch.optim.lr_scheduler.StepLR(wrapper, 2, gamma=0.5)
    seen = effective(training.optimizer)
    factors = []
    for step in range(10):
        wrapper.step(loss=training.backward(step))
        schedule.step()
        factors.append(wrapper.engine.factor)
    expected = [0.01 * 0.5 ** (step // 2) * factor for step, factor in enumerate(factors)]
    assert [row[0] for row in seen] == pytest.approx(expected, rel=1e-15)
    assert schedule.get_last_lr() == [0.01 / 32]


def test_the_wrapper_without_losses_keeps_no_copy_after_its_second_step():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    for step in range(60):
        training.backward(step)
        wrapper.step()
        assert (wrapper.engine._first is not None) == (step == 0)
    assert len(wrapper.history) == 60 and wrapper.lr != 0.01


def test_a_wrong_loss_is_refused_before_the_step():
    training = Training(OPTIMIZERS["sgd"])
    wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer)
    training.backward(0)
    before = training.everything()
    with pytest.raises(ValueError, match="`loss` must be one number, got a tensor"):
        wrapper.step(loss=torch.ones(3))
    assert same_bits(before, training.everything())


# -- rollback ---------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("poison", ["nan", 1e3, 1e12])
def test_a_run_that_blows_up_returns_and_recovers(name, poison):
    final = {}
    for rollback in (False, True):
        training = Training(OPTIMIZERS[name])
        wrapper = nalr.torch.NoiseAdaptiveOptimizer(training.optimizer, rollback=rollback)
        for step in range(250):
            loss = training.backward(step)
            if step == 120 and poison == "nan":
                training.model[0].weight.grad.mul_(torch.nan)
            if step == 120 and poison != "nan":
                training.optimizer.param_groups[0]["lr"] *= poison  # a bug in somebody's schedule
            wrapper.step(loss=loss)
            training.optimizer.param_groups[0]["lr"] = training.optimizer.defaults["lr"]
        final[rollback] = training.loss(1000).item()
        if rollback:
            assert wrapper.engine.rollback.returns >= 1
            assert wrapper.engine.rollback.snapshot.nbytes > 0
    fine = Training(OPTIMIZERS[name]).loss(1000).item()
    assert final[True] < fine
    if poison == "nan":
        assert final[False] != final[False]  # without a copy there is no way back


# -- copies -----------------------------------------------------------------------------------------


def test_copies_of_a_watched_model_and_optimizer_are_not_watched():
    """As moving averages and snapshots of whole models are made."""
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.run(5, scheduler)
    model, optimizer = copy.deepcopy((training.model, training.optimizer))
    file = io.BytesIO()
    torch.save(training.model, file)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    assert scheduler.engine.measurement.backwards.count == 0 and len(scheduler.history) == 5
    assert all(not p._backward_hooks for p in model.parameters())
