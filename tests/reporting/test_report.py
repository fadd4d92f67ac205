"""Claims about `nalr.report`: what it takes, what it refuses, and that the page is always readable."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

import nalr
from nalr.policies import Constant, Reason
from nalr.reporting.history import COLUMNS, Entry, History
from nalr.reporting.loss import Slope, final_slope
from nalr.reporting.noise import batch_advice, noise_scales
from nalr.reporting.run import read_run
from nalr.reporting.words import number, percent


def trained(steps=300, total_steps=300, base_lr=1e-3, batch_size=16, seed=1, **settings):
    """Descend a noisy bowl; return the controller."""
    landscape = nalr.create_noisy_landscape(dim=10, noise_scale=0.5, seed=seed, condition=30.0)
    params = landscape.start.copy()
    adaptive = nalr.NoiseAdaptiveLR(base_lr, total_steps=total_steps, **settings)
    for _ in range(steps):
        loss, gradients = landscape.sample(params, batch_size=batch_size)
        params = params - adaptive.get_adapted_lr(gradients, loss) * gradients.mean(axis=0)
    return adaptive


@pytest.fixture(scope="module")
def adaptive():
    return trained()


def assert_readable(report):
    """The page has no garbage, and the record is JSON."""
    text = str(report)
    assert not re.search(r"\b(nan|inf|None)\b", text), text
    assert all(len(line) <= 110 for line in text.splitlines()), text
    json.dumps(report.to_dict(), allow_nan=False)


# -- what it takes ------------------------------------------------------------------------------------


def test_every_form_of_a_run_gives_the_same_report(adaptive, tmp_path):
    adaptive.history.to_csv(tmp_path / "run.csv")
    whole = nalr.report(adaptive)
    alone = nalr.report(adaptive.history)
    forms = (adaptive.history.to_dict(), adaptive.history.to_numpy(), tmp_path / "run.csv")
    for form in (*forms, str(tmp_path / "run.csv")):
        assert json.dumps(nalr.report(form).to_dict()) == json.dumps(alone.to_dict())
    assert whole.base_lr == 1e-3 and math.isnan(alone.base_lr)  # a record alone does not have it
    assert (whole.loss, whole.rate, whole.phases, whole.reasons, whole.batch) == (
        alone.loss,
        alone.rate,
        alone.phases,
        alone.reasons,
        alone.batch,
    )


def test_step_loss_and_rate_are_enough_and_an_empty_field_is_nan(tmp_path):
    (tmp_path / "run.csv").write_text("step,loss,lr\n0,3,0.1\n1,,0.1\n2,1,0.2\n", encoding="utf-8")
    report = nalr.report(tmp_path / "run.csv")
    assert (report.loss.first, report.loss.last, report.steps, report.smoothed) == (3.0, 1.0, 3, False)
    assert "loss of single batches 3 -> 1" in str(report)
    assert_readable(report)


def test_a_torch_run_is_reported_with_its_base_rate_and_horizon():
    torch = pytest.importorskip("torch")
    import nalr.torch

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scheduler = nalr.torch.NoiseAdaptiveLR(optimizer, total_steps=200)
    for _ in range(200):
        inputs = torch.randn(16, 4)
        loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(loss)
    run, report = read_run(scheduler), nalr.report(scheduler)
    assert (run.base_lr, run.total_steps, run.knows_horizon) == (pytest.approx(1e-4), 200, True)
    assert report.steps == len(scheduler.history) and report.noise.batch_size == 1.0
    assert {"ramped", "annealed"} <= {phase.kind for phase in report.phases}
    assert "(of how many samples a batch is the mean was not given: `microbatch_size`)" in str(report)
    assert report.unit == "batch" and "gradient noise scale, in batches" in str(report)
    assert_readable(report)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3, TypeError, "`history` must be a mapping of columns or have `to_dict`, got int"),
        ({"step": [0], "loss": [1.0]}, ValueError, "must have the columns step, loss and lr, got step, loss"),
        (
            {"step": [0], "loss": [1.0], "lr": []},
            ValueError,
            "columns of equal length, got 1 of `step` and 0 of `lr`",
        ),
        ({"step": [0], "loss": ["much"], "lr": [0.1]}, TypeError, "`loss` must hold real numbers"),
        ({"a": {"step": [0], "loss": [1.0], "lr": [0.1]}}, ValueError, "step, loss and lr, got a"),
    ],
)
def test_what_is_no_run_is_refused(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        nalr.report(given)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ValueError, "must have the columns step, loss and lr, got none"),
        ("a,b\n1,2\n", ValueError, "must have the columns step, loss and lr, got a, b"),
        ("step,loss,lr\n0,1\n", ValueError, "must have 3 fields in each line, got 2 in line 2"),
        ("step,loss,lr\n0,x,1\n", TypeError, "`loss` must hold real numbers"),
    ],
)
def test_a_file_that_is_no_run_is_refused(tmp_path, text, error, message):
    (tmp_path / "run.csv").write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        nalr.report(tmp_path / "run.csv")


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="run.csv"):
        nalr.report(tmp_path / "run.csv")


# -- short and odd runs -------------------------------------------------------------------------------

NAN, INF = math.nan, math.inf
ODD = {
    "one step": {"step": [0], "loss": [1.0], "lr": [0.1], "reason": ["start"]},
    "two steps": {"step": [0, 1], "loss": [1.0, 2.0], "lr": [0.1, 0.2], "reason": ["start", "ramp"]},
    "two steps, one loss": {"step": [0, 1], "loss": [NAN, 2.0], "lr": [0.1, 0.2]},
    "no loss": {"step": range(50), "loss": [NAN] * 50, "lr": [0.1] * 50},
    "infinite losses": {"step": range(50), "loss": [INF] * 50, "lr": [0.1] * 50},
    "no rate": {"step": range(50), "loss": [1.0] * 50, "lr": [NAN] * 50},
    "rates of no logarithm": {"step": range(3), "loss": [1.0] * 3, "lr": [0.0, -1.0, INF]},
    "no steps known": {"step": [NAN] * 50, "loss": [1.0] * 50, "lr": [0.1] * 50},
    "steps not in order": {"step": [5, 5, 2], "loss": [3.0, 2.0, 1.0], "lr": [0.1, 1.0, 0.1]},
    "huge losses": {"step": range(200), "loss": [1e300, 1e-300] * 100, "lr": [0.1] * 200},
    "constant": {"step": range(200), "loss": [1.0] * 200, "lr": [0.1] * 200, "reason": ["constant"] * 200},
    "reasons of others": {"step": range(3), "loss": [1.0] * 3, "lr": [1, 2, 4], "reason": ["x", None, NAN]},
    "noise of nan": {
        "step": range(90),
        "loss": [1.0] * 90,
        "lr": [0.1] * 90,
        "signal_fraction": [NAN] * 90,
        "gradient_noise_scale": [NAN] * 90,
        "batch_size": [8.0] * 90,
    },
    "no noise": {
        "step": range(90),
        "loss": [1.0] * 90,
        "lr": [0.1] * 90,
        "noise_scale": [0.0] * 90,
        "gradient_noise_scale": [0.0] * 90,
        "signal_fraction": [1.0] * 90,
        "batch_size": [8.0] * 90,
    },
    "nothing but noise": {
        "step": range(90),
        "loss": [1.0] * 90,
        "lr": [0.1] * 90,
        "noise_scale": [2.0] * 90,
        "gradient_noise_scale": [NAN] * 90,
        "signal_fraction": [0.0] * 90,
        "batch_size": [8.0] * 90,
    },
}


@pytest.mark.parametrize("name", ODD)
def test_the_page_is_readable_whatever_the_run(name):
    report = nalr.report(ODD[name])
    assert report.recorded == len(ODD[name]["step"])
    assert_readable(report)


@pytest.mark.parametrize("empty", [nalr.NoiseAdaptiveLR(0.1), History(), History().to_dict()])
def test_a_run_that_has_not_begun_says_so(empty, tmp_path):
    report = nalr.report(empty)
    assert str(report) == "no steps yet" and report.steps == 0 and report.phases == report.remarks == ()
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 20])
def test_short_runs_are_reported(steps):
    report = nalr.report(trained(steps))
    assert report.steps == steps
    assert_readable(report)


def test_a_file_of_no_steps_is_a_run_that_has_not_begun(tmp_path):
    History().to_csv(tmp_path / "run.csv")
    assert str(nalr.report(tmp_path / "run.csv")) == "no steps yet"


def test_a_thinned_history_reports_all_steps_and_counts_every_reason():
    history = History(capacity=64)
    for step in range(5000):
        loss = 2.0 - step / 5000
        history.append(Entry(step, loss, loss, 0.1, "hold" if step % 3 else "grow"))
    report = nalr.report(history)
    assert (report.steps, report.recorded) == (5000, len(history))
    assert report.reasons == {"hold": 3333, "grow": 1667}
    assert f"5000 steps, of which {len(history)} are in the record" in str(report)
    assert report.slope.value == pytest.approx(-1 / 5000)  # a step, not an entry
    assert nalr.report(history.to_dict()).steps == pytest.approx(5000, abs=history.stride)
    assert_readable(report)


# -- the record ---------------------------------------------------------------------------------------


def test_a_real_run_is_reported_as_it_was(adaptive):
    report, columns = nalr.report(adaptive), adaptive.history.to_numpy()
    best = int(np.argmin(columns["smoothed_loss"]))
    assert dataclasses.astuple(report.loss) == (
        columns["smoothed_loss"][0],
        columns["smoothed_loss"][-1],
        columns["smoothed_loss"][best],
        best,
    )
    assert report.rate.start == 1e-3 and report.rate.peak == columns["lr"].max()
    assert report.phases[0].kind == "ramped" and report.phases[-1].kind == "annealed"
    assert report.phases[0].first_step == 0 and report.phases[-1].last_step == 299
    assert report.noise.noise_scale == pytest.approx(0.5, rel=0.05)  # what the landscape was made with
    assert report.noise_late.signal_fraction < report.noise_early.signal_fraction
    assert report.noise.batch_size == report.batch.batch_size == 16.0
    text = str(report)
    for part in ("300 steps", "Learning rate", "ramped", "Why", "Noise", "Batch size", "Remarks"):
        assert part in text
    assert_readable(report)


def test_the_report_agrees_with_the_summary(adaptive):
    report, summary = nalr.report(adaptive), adaptive.summary()
    assert f"smoothed loss {report.loss.first:.4g} -> {report.loss.last:.4g}" in summary
    assert f"highest {report.rate.peak:.3g} at step {report.rate.peak_step:.0f}" in summary


def test_the_record_is_frozen_and_reporting_changes_nothing(adaptive):
    before = str(adaptive.state_dict())
    report = nalr.report(adaptive)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.steps = 1
    assert str(adaptive.state_dict()) == before


def test_what_is_not_finite_is_none_in_json():
    data = nalr.report({"step": [0], "loss": [1.0], "lr": [0.1]}).to_dict()
    assert data["base_lr"] is None and data["slope"]["value"] is None and data["noise"]["batch_size"] is None
    assert data["loss"] == {"first": 1.0, "last": 1.0, "best": 1.0, "best_step": 0.0}


def test_a_policy_that_does_not_adapt_is_reported_too():
    report = nalr.report(trained(policy=Constant(), base_lr=0.1))
    assert [phase.kind for phase in report.phases] == ["held"] and report.reasons == {"constant": 300}


# -- noise and batch ----------------------------------------------------------------------------------


def test_the_batch_advice_is_that_of_mccandlish():
    columns = {"step": range(9), "loss": [1.0] * 9, "lr": [0.1] * 9}
    run = read_run(columns | {"gradient_noise_scale": [48.0] * 9, "batch_size": [16.0] * 9})
    advice = batch_advice(run)
    assert (advice.balanced, advice.at_least) == (48.0, False)
    # S = S_min (1 + B_simple/B) steps of B samples each, and E = S·B: E_min = S_min B_simple.
    assert advice.steps_factor == 1 + 48 / 16
    assert advice.samples_factor == advice.steps_factor * 16 / 48


def test_steps_without_signal_count_as_the_noisiest_and_not_as_unknown():
    scales = [10.0, 20.0, 30.0] + [math.nan] * 6
    columns = {"step": range(9), "loss": [1.0] * 9, "lr": [0.1] * 9, "batch_size": [16.0] * 9}
    columns |= {"gradient_noise_scale": scales, "noise_scale": [1.0] * 9}
    columns["signal_fraction"] = [0.5] * 3 + [0.0] * 6
    run = read_run(columns)
    assert np.isinf(noise_scales(run)[3:]).all()
    assert np.nanmedian(scales) == 20.0  # what leaving them out would say
    assert batch_advice(run).at_least and batch_advice(run).balanced == 30.0
    report = nalr.report(columns)
    assert "both would be 2x at 30 or more" in str(report) and "no signal to be seen" in str(report)
    assert (report.noise_early.no_signal, report.noise.no_signal) == (0.0, 6 / 9)


def test_a_noise_scale_is_shown_with_the_share_of_steps_that_it_leaves_out():
    scales = [10.0] * 6 + [90.0, 90.0, math.nan]
    columns = {"step": range(9), "loss": [1.0] * 9, "lr": [0.1] * 9, "batch_size": [16.0] * 9}
    columns |= {"gradient_noise_scale": scales, "noise_scale": [1.0] * 9}
    text = str(nalr.report(columns | {"signal_fraction": [0.5] * 8 + [0.0]}))
    assert "90 (no signal in 33 %)" in text and "that size grew many times" in text
    clear = str(
        nalr.report(columns | {"signal_fraction": [0.5] * 8 + [math.nan]})
    )  # of a step nothing is known
    assert "(no signal" not in clear and "that size grew 9x" in clear


def test_no_batch_of_less_than_a_sample_is_advised():
    columns = {"step": range(9), "loss": [1.0] * 9, "lr": [0.1] * 9}
    text = str(nalr.report(columns | {"batch_size": [16.0] * 9, "gradient_noise_scale": [0.25] * 9}))
    assert "one sample a step needs 1.25x the fewest steps" in text and "both would be" not in text
    rows = str(nalr.report(columns | {"batch_size": [1.0] * 9, "gradient_noise_scale": [0.25] * 9}))
    assert "both would be 2x at 0.25" in rows and "of a whole batch counts as one row" in rows


def test_the_slope_is_that_of_least_squares_a_step(rng):
    losses = 3.0 - 0.002 * np.arange(0, 800, 2) + 0.1 * rng.normal(size=400)
    slope = final_slope(read_run({"step": range(0, 800, 2), "loss": losses, "lr": [0.1] * 400}))
    expected = np.polyfit(np.arange(600, 800, 2), losses[300:], 1)[0]
    assert slope.value == pytest.approx(expected, rel=0.02)
    assert abs(slope.value + 0.002) < 4.0 * slope.standard_error
    assert slope.noise == pytest.approx(0.1, rel=0.3) and slope.steps == 198.0


def test_two_losses_have_no_slope():
    run = read_run({"step": [0, 1], "loss": [1.0, 2.0], "lr": [0.1, 0.1]})
    assert str(final_slope(run)) == str(Slope())


# -- words --------------------------------------------------------------------------------------------


def test_every_reason_has_a_meaning():
    assert all(reason.meaning and reason.family for reason in Reason)


def test_numbers_are_short():
    assert [number(v) for v in (0.0, 1.0, 2082.6, 1e-9, 123456.0, 1e9)] == [
        "0",
        "1",
        "2080",
        "1e-09",
        "123000",
        "1e+09",
    ]
    assert [percent(v) for v in (0.0, 0.003, 0.5, 1.0)] == ["0 %", "0.3 %", "50 %", "100 %"]


def test_the_columns_read_are_those_of_a_history():
    run = read_run(History())
    assert set(run.columns) == set(COLUMNS)


def test_a_report_loads_nothing_heavy():
    script = (
        "import sys, nalr\n"
        "columns = {'step': range(900), 'loss': [1.0] * 900, 'lr': [0.1] * 900}\n"
        "str(nalr.report(columns))\n"
        "print([m for m in ('numba', 'torch', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
