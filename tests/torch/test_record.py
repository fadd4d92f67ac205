"""What is shown of a run is what was: losses, rates, what stands in for a loss, and units."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

import nalr.torch
from nalr._checks import NoiseWarning
from nalr.reporting.run import read_run
from tests.torch.training import OPTIMIZERS, Training, effective, two_groups


def test_each_entry_has_the_loss_of_its_own_step():
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    losses = []
    for step in range(12):
        losses += training.run(1, scheduler, first=step)
        if step % 5 == 4:
            assert scheduler.history.to_dict()["loss"] == losses  # also when asked in between
    assert scheduler.history.to_dict()["loss"] == losses


@pytest.mark.parametrize("form", ["wrapper", "closure"])
def test_so_it_has_where_the_loss_comes_with_the_step(form):
    training = Training(OPTIMIZERS["adamw"])
    make = nalr.torch.NoiseAdaptiveOptimizer if form == "wrapper" else nalr.torch.NoiseAdaptiveLR
    adaptive, losses = make(training.optimizer), []
    for step in range(12):
        if form == "wrapper":
            losses.append(training.backward(step).item())
            adaptive.step(loss=losses[-1])
        else:
            losses.append(training.optimizer.step(lambda step=step: training.backward(step)).item())
            adaptive.step(losses[-1])
    assert adaptive.history.to_dict()["loss"] == losses


def test_the_loss_of_the_last_step_is_not_known_before_it_comes():
    training = Training(OPTIMIZERS["adamw"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    losses = training.run(6, scheduler)
    last = training.backward(6)
    training.optimizer.step()
    assert scheduler.history.to_dict()["loss"][:-1] == losses
    assert math.isnan(scheduler.history.to_dict()["loss"][-1])
    scheduler.step(last)
    assert scheduler.history.to_dict()["loss"] == [*losses, last.item()]


def test_thinned_records_keep_their_own_losses():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    scheduler.history.capacity = 16
    losses = training.run(50, scheduler)
    columns = scheduler.history.to_dict()
    assert scheduler.history.stride > 1
    assert columns["loss"] == [losses[step] for step in columns["step"]]


def test_a_resumed_record_is_the_same():
    whole, half = Training(OPTIMIZERS["adamw"]), Training(OPTIMIZERS["adamw"])
    expected, scheduler = (nalr.torch.NoiseAdaptiveLR(t.optimizer) for t in (whole, half))
    whole.run(20, expected)
    half.run(11, scheduler)
    state = scheduler.state_dict()
    scheduler.detach()
    resumed = nalr.torch.NoiseAdaptiveLR(half.optimizer)
    resumed.load_state_dict(state)
    assert resumed.get_last_lr() == scheduler.get_last_lr()
    half.run(9, resumed, first=11)
    assert str(resumed.history.to_dict()) == str(expected.history.to_dict())


@pytest.mark.parametrize("form", ["scheduler", "wrapper"])
def test_rates_are_those_of_the_steps_beside_a_schedule(form):
    training = Training(two_groups)
    make = nalr.torch.NoiseAdaptiveOptimizer if form == "wrapper" else nalr.torch.NoiseAdaptiveLR
    adaptive = make(training.optimizer)
    schedule = lr_scheduler.LambdaLR(training.optimizer, lambda t: 0.1 + 0.9 * math.exp(-t))
    seen = effective(training.optimizer)
    for step in range(30):
        loss = training.backward(step)
        if form == "wrapper":
            adaptive.step(loss=loss)
        else:
            training.optimizer.step()
            adaptive.step(loss)
        assert adaptive.lr == seen[-1][0] or step == 0
        schedule.step()
        assert adaptive.lr == seen[-1][0] or step == 0  # of the last step, not of the next
    rates = adaptive.history.to_dict()["lr"]
    assert rates[1:] == pytest.approx([row[0] for row in seen[1:]], rel=1e-12)
    assert f"-> {rates[-1]:.3g}," in adaptive.summary()


def test_a_first_step_that_was_shortened_is_shown_so():
    training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=1e6))
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    lr_scheduler.LambdaLR(training.optimizer, lambda t: 0.5)
    before = [p.detach().clone() for p in training.model.parameters()]
    loss = training.backward(0)
    gradients = [p.grad.clone() for p in training.model.parameters()]
    training.optimizer.step()
    scheduler.step(loss)
    moved = sum(
        float((b - p).detach().abs().sum()) for b, p in zip(before, training.model.parameters(), strict=True)
    )
    rate = moved / sum(float(g.abs().sum()) for g in gradients)
    assert rate < 10.0
    assert scheduler.history.to_dict()["lr"] == pytest.approx([rate], rel=1e-3)
    assert scheduler.get_last_lr() == pytest.approx([rate], rel=1e-3)


def test_bounds_hold_for_what_is_applied_beside_a_schedule():
    training = Training(two_groups)
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, min_lr=0.004, max_lr=0.02)
    lr_scheduler.LambdaLR(training.optimizer, lambda t: 1.0)
    seen = effective(training.optimizer)
    for step in range(60):
        for group, base in zip(training.optimizer.param_groups, (0.01, 0.003), strict=True):
            group["lr"] = base * (20.0 if step % 3 == 0 else 1.0 if step % 3 == 1 else 0.01)
        loss = training.backward(step)
        training.optimizer.step()
        scheduler.step(loss)
    first = [row[0] for row in seen[1:]]
    assert min(first) == pytest.approx(0.004) and max(first) == pytest.approx(0.02)
    assert all(bias / weight == pytest.approx(0.3) for weight, bias in seen)
    assert scheduler.history.to_dict()["lr"][1:] == pytest.approx(first)


def test_a_schedule_may_go_to_zero_where_no_bound_is_given():
    training = Training(OPTIMIZERS["sgd"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, max_lr=1.0)
    lr_scheduler.LambdaLR(training.optimizer, lambda t: 1e-12)
    seen = effective(training.optimizer)
    training.run(5, scheduler)
    assert max(row[0] for row in seen) < 1e-12


# -- what stands in for a loss ------------------------------------------------------------------------


def test_what_gradients_predict_is_named_so():
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(60):
        training.backward(step)
        training.optimizer.step()
        scheduler.step()
    columns = scheduler.history.to_dict()
    assert set(columns["loss_source"]) == {"predicted"}
    named = "no loss was given; predicted change of the loss 0 -> "
    assert scheduler.summary().splitlines()[0].startswith(f"60 steps: {named}")
    report = nalr.report(scheduler)
    assert report.predicted and f"Loss\n  {named}" in str(report) and report.to_dict()["predicted"] is True
    assert all("The loss" not in remark.evidence for remark in report.remarks)


def test_a_file_keeps_what_the_losses_and_the_rows_were(tmp_path):
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(60):
        training.backward(step, 4)
        training.optimizer.step()
    scheduler.history.to_csv(tmp_path / "run.csv")
    run = read_run(tmp_path / "run.csv")
    assert run.predicted and run.unit == "microbatch"


def test_given_and_predicted_losses_make_no_course_together():
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    for step in range(10):
        training.backward(step)
        training.optimizer.step()
        scheduler.step()
    with pytest.warns(NoiseWarning, match="A loss was given after 10 steps without one, so it is not used"):
        losses = training.run(10, scheduler, first=10)
    report = nalr.report(scheduler)
    assert not report.predicted
    losses_read = read_run(scheduler).columns["loss"]
    np.testing.assert_allclose(losses_read[11:], losses[1:], rtol=1e-9)
    assert not any(map(math.isfinite, losses_read[:9]))


# -- units --------------------------------------------------------------------------------------------

UNITS = {
    "batch": ({"noise": "steps"}, 1),
    "microbatch": ({"noise": "microbatches"}, 4),
    "sample": ({"noise": "microbatches", "microbatch_size": 4}, 4),
}


@pytest.mark.parametrize("unit", UNITS)
def test_the_noise_scale_is_in_what_the_rows_are(unit):
    settings, microbatches = UNITS[unit]
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, **settings)
    training.run(60, scheduler, microbatches=microbatches)
    several = {"batch": "batches", "microbatch": "microbatches", "sample": "samples"}[unit]
    scale = next(line for line in scheduler.summary().splitlines() if "gradient noise scale" in line)
    assert f" {several}, from " in scale
    report = nalr.report(scheduler)
    assert report.unit == unit and f"gradient noise scale, in {several}" in str(report)
    others = {"batches", "microbatches", "samples"} - {several}
    batch = str(report).partition("Batch size\n")[2].partition("\n(")[0]
    assert not any(f"few {other}" in batch or f"fewest {other}" in batch for other in others)
    assert (f"of how many samples a {unit} is the mean was not given" in batch) == (unit != "sample")


def test_samples_are_samples():
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, noise="samples", model=training.model)
    training.run(20, scheduler)
    assert set(scheduler.history.to_dict()["unit"]) == {"sample"}
    assert scheduler.history.to_dict()["batch_size"][-1] == 16.0


# -- rates as torch takes them ------------------------------------------------------------------------

RATES = {
    "int": 1,
    "float32": np.float32(0.25),
    "float64": np.float64(0.25),
    "0-d": torch.tensor(0.25),
    "one element": torch.tensor([0.25], dtype=torch.float64),
    "leaf": torch.tensor(0.25, requires_grad=True),
}


@pytest.mark.parametrize("kind", RATES)
def test_rates_of_every_type_are_multiplied_and_given_back(kind):
    rate, seen = RATES[kind], []
    training = Training(lambda t: torch.optim.SGD(t.model.parameters(), lr=0.5))
    group = training.optimizer.param_groups[0]
    group["lr"] = rate
    before = torch.as_tensor(rate).item()
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    training.optimizer.register_step_pre_hook(lambda o, *_: seen.append(torch.as_tensor(group["lr"]).item()))

    def factor() -> float:
        return scheduler.engine.factor

    for step in range(6):
        loss = training.backward(step)
        with torch.no_grad():
            training.optimizer.step()
        assert seen[-1] == pytest.approx(before * factor(), rel=1e-6)
        assert scheduler.get_last_lr() == [pytest.approx(before * factor(), rel=1e-6)]
        scheduler.step(loss)
    assert group["lr"] is rate and torch.as_tensor(rate).item() == before and type(group["lr"]) is type(rate)
    assert len(set(seen)) > 1


@pytest.mark.parametrize("has_key", [True, False])
def test_a_group_without_a_rate_is_left_alone(has_key):
    class Mixed(torch.optim.SGD):
        """Steps groups that have a rate, and leaves the others to a rule of their own."""

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p -= (1e-3 if group.get("lr") is None else group["lr"]) * p.grad

    training = Training(two_groups)
    weight, *others = training.model.parameters()
    training.optimizer = Mixed([{"params": [weight]}, {"params": others}], lr=0.01)
    first, second = training.optimizer.param_groups
    first["lr"] = None
    if not has_key:
        del first["lr"]
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer)
    assert math.isnan(scheduler.get_last_lr()[0]) and scheduler.get_last_lr()[1] == 0.01
    training.run(20, scheduler)
    assert first.get("lr") is None and ("lr" in first) == has_key and second["lr"] == 0.01
    assert scheduler.lr == scheduler.get_last_lr()[1] != 0.01


def test_no_rate_at_all_is_refused():
    training = Training(two_groups)
    for group in training.optimizer.param_groups:
        group["lr"] = None
    with pytest.raises(ValueError, match=r"group with a positive learning rate, got \[None, None\]"):
        nalr.torch.NoiseAdaptiveLR(training.optimizer)


# -- the end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3])
def test_past_the_last_step_one_warning_says_so(every):
    training = Training(OPTIMIZERS["momentum"])
    scheduler = nalr.torch.NoiseAdaptiveLR(training.optimizer, total_steps=20, every=every)
    training.run(20, scheduler)  # of 20 not one is past the end
    with pytest.warns(NoiseWarning) as seen:
        training.run(20, scheduler, first=20)
    decisions, lr = -(-20 // every), scheduler.history.to_dict()["lr"][-(-20 // every)]
    assert [str(w.message) for w in seen] == [
        f"All {decisions} decisions that `total_steps` gives have been made: what follows was not planned, "
        f"and the rate is {lr:.3g}. For more steps give a larger `total_steps`."
    ]


def test_so_it_says_with_rows_of_numpy():
    adaptive = nalr.NoiseAdaptiveLR(0.1, total_steps=5)
    rows = np.ones((4, 3))
    for _ in range(5):
        adaptive.get_adapted_lr(rows, 1.0)
    with pytest.warns(NoiseWarning, match="All 5 decisions that `total_steps` gives have been made") as seen:
        for _ in range(5):
            adaptive.get_adapted_lr(rows, 1.0)
    assert len(seen) == 1 and seen[0].filename == __file__
