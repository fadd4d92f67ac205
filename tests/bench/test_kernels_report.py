"""The report of `nalr bench` and its plot."""

from __future__ import annotations

import re

import pytest

from nalr_bench import machine
from nalr_bench.kernels.report import render
from nalr_bench.kernels.roofline import plot_roofline
from nalr_bench.report import Report
from nalr_bench.workload import Against, Fact
from tests.bench.cases import result

MACHINE = {"cpu": "A CPU", "threads": 2, "versions": {"numpy": "2"}, "bandwidth": {"1": 10.0, "2": 20.0}}


def report(*results, facts=(), wrong=(), left_out=()):
    return Report(MACHINE, list(results), list(facts), list(wrong), list(left_out))


def test_the_table_marks_what_falls_short_and_by_how_much():
    fast = result(
        {"nalr": [1e-6], "bandwidth": [0.95e-6], "NumPy": [8e-6]},
        *(Against("bandwidth", 0.9), Against("NumPy", 8.0), Against("torch", 30.0)),
        num_bytes={"nalr": 16000, "bandwidth": 16000, "NumPy": 16000},
    )
    slow = result({"nalr": [2.0], "by hand": [0.5]}, Against("by hand", 1 / 3), group="loss", work="update")
    shown = result({"nalr": [1.0], "NumPy": [1.0]}, Against("NumPy"), group="loss", work="shown")
    text = render(report(fast, slow, shown))
    (first,) = (line for line in text.splitlines() if "moments" in line)
    assert first.split() == "moments 4 × 1e3 16.0 0.95 8 - - 0.9 bw, 8 NumPy, 30 torch ok".split()
    assert re.search(r"update .* 0.25 by hand +0.33 by hand +short by 25.0% \(by hand\)", text)
    assert re.search(r"shown .* -\n", text)
    assert (
        "A CPU, 2 threads\nnumpy 2\nMemory bandwidth: 10.0 GB/s on 1 thread, 20.0 GB/s on 2 threads." in text
    )
    assert text.endswith("2 of 3 rows reach their figures or have none.")
    widths = {len(line) for line in text.splitlines() if line.startswith(("  work", "  moments", "  update"))}
    assert len(widths) == 1


def test_facts_and_what_was_left_out_stand_below():
    one = Fact("start", "import", 45.0, "ms", 30.0)
    text = render(report(facts=[one], left_out=["torch: not installed"], wrong=["x: off"]))
    assert "import  45 ms  ≤ 30  over by 50%" in text
    assert "Left out:\n  torch: not installed\n" in text
    assert "WRONG ANSWER: x: off\n0 of 1 rows" in text


@pytest.mark.parametrize("name", ["/proc/meminfo", "/sys/fs/cgroup/memory.max"])
def test_free_memory_is_known_in_some_way_where_a_file_is_missing(monkeypatch, name):
    real = machine._lines
    monkeypatch.setattr(machine, "_lines", lambda path: [] if path == name else real(path))
    assert machine.available_memory() > 1 << 20


# -- the picture --------------------------------------------------------------------------------------


def test_the_picture_has_a_line_for_each_batch_on_all_threads():
    rows = [
        {
            "group": "batch",
            "work": "moments",
            "rows": count,
            "dimension": size,
            "threads": used,
            "gigabytes_per_second": {"nalr": 10.0 * used, "NumPy": 1.0},
        }
        for count in (4, 32, 256)
        for size in (10**4, 10**3)
        for used in (1, 2)
    ]
    (ax,) = plot_roofline({"machine": MACHINE, "results": rows}).axes
    labels = [line.get_label() for line in ax.lines]
    assert labels == ["nalr, B = 4", "nalr, B = 32", "nalr, B = 256", "NumPy, B = 32", "memory, 20 GB/s"]
    assert ax.lines[0].get_xdata().tolist() == [10**3, 10**4]
    assert set(ax.lines[0].get_ydata()) == {20.0}
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in ax.lines}) == 5
    assert (
        "parameters" in ax.get_xlabel() and "GB/s" in ax.get_ylabel() and "2 threads" in ax.get_title("left")
    )
    assert plot_roofline({"machine": MACHINE, "results": rows}, ax=ax) is ax.figure


def test_a_picture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`results` must hold a batch, got none"):
        plot_roofline({"machine": MACHINE, "results": []})
