from __future__ import annotations

import csv

import numpy as np
import pytest

import nalr
from nalr.reporting.columns import REQUIRED, read_columns
from nalr.reporting.history import COLUMNS, NUMBERS, Entry, History


def entry(step):
    return Entry(step, loss=float(step), smoothed_loss=0.0, lr=0.1, reason="hold" if step % 3 else "cut")


def filled(steps, **settings):
    history = History(**settings)
    for step in range(steps):
        history.append(entry(step))
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
        resumed.append(entry(step))
    assert str(resumed.state_dict()) == str(whole.state_dict())


def test_csv_holds_the_columns(tmp_path):
    history = filled(5)
    history.to_csv(tmp_path / "run.csv")
    with open(tmp_path / "run.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["reason"] for row in rows] == history.to_dict()["reason"]
    assert [float(row["loss"]) for row in rows] == history.to_dict()["loss"]


def test_a_csv_that_a_spreadsheet_saved_is_read_as_it_was_written(tmp_path):
    written, saved = tmp_path / "run.csv", tmp_path / "saved.csv"
    filled(5).to_csv(written)
    saved.write_bytes(b"\xef\xbb\xbf" + written.read_bytes())  # with a byte-order mark, as Excel does
    assert str(nalr.report(saved)) == str(nalr.report(written))


@pytest.mark.parametrize("content", ["step,loss\n".encode("utf-16"), b"\x89PNG\r\n"])
def test_what_is_no_text_is_refused(tmp_path, content):
    file = tmp_path / "run.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"run.csv` must be a CSV file in UTF-8 \("):
        nalr.report(file)


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
