from __future__ import annotations

import csv

import numpy as np
import pytest

from nalr.reporting.history import COLUMNS, NUMBERS, REQUIRED, History, read_columns


def filled(steps, **settings):
    history = History(**settings)
    for step in range(steps):
        history.append(
            step, loss=float(step), smoothed_loss=0.0, lr=0.1, reason="hold" if step % 3 else "cut"
        )
    return history


def test_memory_is_bounded_and_the_whole_course_is_kept():
    history = filled(10_000, capacity=64)
    recorded = history.to_dict()["step"]
    assert len(history) < 64
    assert recorded[0] == 0
    assert recorded[-1] > 9_500
    assert {b - a for a, b in zip(recorded, recorded[1:], strict=False)} == {history.stride}


def test_reasons_are_counted_at_every_step_recorded_or_not():
    assert filled(9_999, capacity=16).reason_counts == {"hold": 6666, "cut": 3333}


def test_resume_is_exact():
    whole, half = filled(500, capacity=32), filled(200, capacity=32)
    resumed = History(capacity=32)
    resumed.load_state_dict(half.state_dict())
    for step in range(200, 500):
        resumed.append(step, float(step), 0.0, 0.1, "hold" if step % 3 else "cut")
    assert str(resumed.state_dict()) == str(whole.state_dict())


def test_csv_holds_the_columns(tmp_path):
    history = filled(5)
    history.to_csv(tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["reason"] for row in rows] == history.to_dict()["reason"]
    assert [float(row["loss"]) for row in rows] == history.to_dict()["loss"]


NEW = ("gradient_noise_scale", "signal_fraction", "batch_size")


def test_a_state_of_an_earlier_version_has_nan_for_what_it_did_not_keep():
    state = filled(40).state_dict()
    for name in NEW:
        del state["columns"][name]
    history = History()
    history.load_state_dict(state)
    history.append(40, 1.0, 1.0, 0.1, "hold", signal_fraction=0.5)
    columns = history.to_numpy()
    assert set(columns) == set(COLUMNS)
    assert len(history) == 41 and history.reason_counts == {"hold": 27, "cut": 14}
    for name in NEW:
        assert np.isnan(columns[name][:40]).all()
    assert columns["signal_fraction"][40] == 0.5


def test_columns_are_read_from_whatever_has_them():
    history = filled(5)
    expected = history.to_numpy()
    frame = {name: dict(enumerate(column)) for name, column in history.to_dict().items()}  # as pandas has it
    for given in (history, history.to_dict(), expected, frame):
        columns = read_columns(given, "`history`", set(NUMBERS) - set(REQUIRED))
        assert set(columns) == set(COLUMNS)
        for name in ("step", "loss", "lr", "curvature", "reason"):
            np.testing.assert_array_equal(columns[name], expected[name])
    least = read_columns({"step": [0], "loss": [1.0], "lr": [0.1]}, "`history`", ["noise_scale"])
    assert np.isnan(least["noise_scale"]).all() and least["reason"].tolist() == [""]


@pytest.mark.parametrize(
    ("capacity", "message"),
    [
        (15, "`capacity` must be a whole number of at least 16, got 15"),
        (17, "`capacity` must be even, got 17"),
    ],
)
def test_wrong_capacity_is_refused(capacity, message):
    with pytest.raises(ValueError, match=message):
        History(capacity=capacity)
