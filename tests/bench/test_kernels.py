"""`nalr bench`: right answers, timing, and the command."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from nalr.arrays import threads
from nalr.cli import main
from nalr_bench import machine, measure
from nalr_bench.kernels import batches, facts, steps, streams
from nalr_bench.kernels.data import Pool, truth
from nalr_bench.kernels.options import GROUPS
from nalr_bench.kernels.plan import plan
from nalr_bench.workload import Job, Runnable, Workload, WrongAnswer, agree
from tests.bench.cases import NAN, result

SMALL = ["bench", "--size", "1000", "--rounds", "3"]


@pytest.fixture(autouse=True)
def little_to_read(monkeypatch):
    monkeypatch.setattr(machine, "READ", 1 << 20)


# -- the command, end to end --------------------------------------------------------------------------


@pytest.mark.slow
def test_json_is_all_that_is_printed_with_json(capsys):
    assert main([*SMALL, "--only", "batch,rows", "--only", "step", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert err == ""
    assert set(found) == {"machine", "results", "facts", "wrong", "left_out"}
    assert {row["group"] for row in found["results"]} == {"batch", "rows", "step"}
    assert found["machine"]["threads"] == threads.get_num_threads()
    (row,) = (
        r for r in found["results"] if r["rows"] == 32 and r["work"] == "moments" and "NumPy" in r["ratios"]
    )
    assert row["dimension"] == 1000 and row["figures"]["NumPy"] == 8.0
    expected = 4 * 32 * 1000 / row["seconds"]["nalr"] / 1e9
    assert row["gigabytes_per_second"]["nalr"] == pytest.approx(expected)


def test_a_table_is_printed_and_a_picture_drawn(capsys, tmp_path):
    picture = tmp_path / "roofline.svg"
    assert main([*SMALL, "--only", "batch", "--threads", "1", "--plot", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert "Memory bandwidth:" in out and "batch: rows (B, D) to Moments, float32, 1 thread\n" in out
    assert "nalr" in out and re.search(r"moments +256 × 1e3", out)
    assert "2 threads" not in out
    assert err == f"{picture}\n"
    assert picture.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "0"), "argument --size: must be a whole number of at least 1, got '0'"),
        (("--size", "1e3,many"), "argument --size: must be a whole number of at least 1, got 'many'"),
        (("--threads", "1.5"), "argument --threads: must be a whole number of at least 1, got '1.5'"),
        (("--rounds", "nan"), "argument --rounds: must be a whole number of at least 1, got 'nan'"),
        (("--only", "batch,fly"), "argument --only: must be one of batch, types,"),
        (("--plot", "x.bmp"), "argument --plot: must end with .png or .svg, got 'x.bmp'"),
        (("--plot", "no/where.png"), "argument --plot: must be in a directory that exists"),
        (("--loud",), "unrecognized arguments: --loud"),
    ],
)
def test_wrong_options_are_refused_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as refusal:
        main(["bench", *arguments])
    out, err = capsys.readouterr()
    assert (refusal.value.code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_plot_without_its_group_is_refused_before_the_work(capsys, tmp_path):
    assert main(["bench", "--only", "step", "--plot", str(tmp_path / "x.png")]) == 2
    assert capsys.readouterr() == ("", "nalr bench: --plot draws the group batch, which --only leaves out.\n")


def test_a_picture_that_cannot_be_written_is_reported(capsys, tmp_path, monkeypatch):
    def refuse(results):
        raise OSError("disk full")

    monkeypatch.setattr("nalr_bench.kernels.roofline.plot_roofline", refuse)
    assert main([*SMALL, "--only", "batch", "--plot", str(tmp_path / "x.png")]) == 1
    out, err = capsys.readouterr()
    assert "moments" in out and err == f"{tmp_path / 'x.png'} could not be written: disk full\n"


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_wrong_answer_ends_with_1_and_is_named(capsys, monkeypatch, json_too):
    right = batches.moments
    monkeypatch.setattr(
        batches, "moments", lambda rows: right(rows)._replace(sum_squares=right(rows).sum_squares * 1.01)
    )
    assert main([*SMALL, "--only", "batch", "--threads", "1", *json_too]) == 1
    out, err = capsys.readouterr()
    said = err if json_too else out
    assert said.count("WRONG ANSWER: batch: moments, ") == 3
    assert "WRONG ANSWER: batch: moments, 4 × 1000, 1 thread: tr Σ is " in said
    if json_too:
        assert len(json.loads(out)["wrong"]) == 3


def test_rivals_that_are_not_installed_are_left_out_and_listed(capsys, monkeypatch):
    for module in (batches, machine, measure, steps):
        monkeypatch.setattr(module, "installed", lambda name: None)
    assert main([*SMALL, "--only", "batch"]) == 0
    out, _ = capsys.readouterr()
    assert "Left out:\n  torch: not installed\n  pandas: not installed\n  scipy: not installed\n" in out
    assert "torch 2" not in out
    names = {w.work for w in batches.kinds(Pool(), 4, 10, 1)}
    assert batches.BRAIN not in names and "float16" in names


def test_an_interrupt_ends_with_130(capsys, monkeypatch):
    def interrupted(workload, effort):
        raise KeyboardInterrupt

    monkeypatch.setattr("nalr_bench.kernels.main.measure", interrupted)
    assert main([*SMALL, "--only", "rows"]) == 130
    assert capsys.readouterr() == ("", "Interrupted.\n")


def test_lack_of_memory_leaves_a_workload_out(capsys, monkeypatch):
    def too_large(workload, effort):
        raise MemoryError

    monkeypatch.setattr("nalr_bench.kernels.main.measure", too_large)
    assert main([*SMALL, "--only", "step", "--threads", "1"]) == 0
    assert "step: get_adapted_lr float64, 16 × 1000, 1 thread: out of memory" in capsys.readouterr().out


# -- the workloads ------------------------------------------------------------------------------------

POOL = Pool()
EACH = [
    batches.batch(POOL, 5, 700, 1, rivals=True),
    batches.variances(POOL, 5, 700, 1),
    *batches.kinds(POOL, 4, 900, 1),
    streams.trace(POOL, 1000, 1),
    streams.running(POOL, 1000, 1),
    steps.whole_step(POOL, "float32", 1),
    steps.updates(1),
    steps.average(1000, 1),
    steps.low_pass(1000, 1),
    steps.signs(1000, 1, True),
    steps.signs(1000, 1, False),
]


@pytest.mark.slow
@pytest.mark.parametrize("work", EACH, ids=lambda work: work.title)
def test_answers_agree_and_each_rival_that_has_a_figure_runs(work):
    for rival in {each.rival for each in work.against} & set(machine.RIVALS):
        pytest.importorskip(rival)
    job = work.prepare()
    job.check()
    assert {each.rival for each in work.against} <= set(job.runnables)
    for runnable in job.runnables.values():
        runnable.call()


def test_every_group_of_the_options_is_planned_or_a_fact():
    planned = {work.group for work in plan(8 << 30, 2, quick=True).workloads}
    assert planned | {"memory", "start"} == set(GROUPS)


def test_the_pool_gives_the_same_values_however_many_were_asked_for():
    grown = Pool()
    first = grown.values(10).copy()
    assert np.array_equal(grown.values(5_000_000)[:10], first)
    rows = grown.rows(2, 2_000_000)
    assert not np.array_equal(rows[0], rows[1])


def test_the_truth_is_that_of_numpy_over_several_windows(monkeypatch, rng):
    monkeypatch.setattr("nalr_bench.kernels.data.WINDOW", 30)
    rows = rng.normal(size=(3, 47))
    variance, norm = truth(rows)
    assert variance == pytest.approx(rows.var(axis=0, ddof=1).sum(), rel=1e-12)
    assert norm == pytest.approx((rows.mean(axis=0) ** 2).sum(), rel=1e-12)


def test_batches_run_against_everybody_on_all_threads_and_against_the_bandwidth_on_one():
    works = [w for w in plan(8 << 30, 4, sizes=[1000], only=["batch"]).workloads if w.work == "moments"]
    seen = {(w.threads, w.rows): [each.rival for each in w.against] for w in works}
    assert seen[4, 32] == ["bandwidth", "NumPy", "torch"] and seen[1, 32] == ["bandwidth"]


def test_no_more_than_half_of_the_memory_is_used_and_the_rest_is_listed():
    found = plan(memory=8 * 2 * 32 * 10**4, num_threads=1, sizes=[10**4])
    taken = [work for work in found.workloads if work.group == "batch"]
    assert {work.rows for work in taken if work.work == "moments"} == {4, 32}
    assert "batch: 256 × 10000 would take more than half of the memory that is free" in found.left_out
    assert any(line.startswith("types: 32 × ") for line in found.left_out)
    huge = plan(1 << 50, 1, sizes=[10**8], only=["batch"])
    assert "batch: 32 × 100000000 is more than 4e+08 values" in huge.left_out


def test_quick_stops_at_a_million_parameters():
    assert max(work.dimension for work in plan(8 << 30, 1, quick=True).workloads if work.rows) == 10**6


# -- the measuring ------------------------------------------------------------------------------------


def test_a_slow_rival_sits_rounds_out_but_has_three():
    calls = {"nalr": lambda: None, "slow": lambda: measure.time.sleep(0.004)}
    rounds = measure.interleave(calls, measure.Effort(rounds=6, budget=0.012))
    assert sum(not math.isnan(x) for x in rounds["slow"]) == 3
    assert len(rounds["nalr"]) == len(rounds["slow"]) == 6


def test_the_ratio_is_the_median_of_the_rounds_that_both_took_by_bytes():
    found = result(
        {"nalr": [1.0, 2.0, 4.0, 9.0], "x": [3.0, 8.0, 8.0, NAN]}, num_bytes={"nalr": 100, "x": 200}
    )
    assert found.ratio("x") == 3.0 * 0.5  # 3, 4 and 2, and twice the bytes
    assert found.ratio("absent") is None
    assert found.seconds("x") == 8.0
    assert found.speed("nalr") == pytest.approx(100 / 3.0 / 1e9)


def test_threads_are_limited_while_measuring_and_free_afterwards():
    seen = []
    work = Workload("step", "x", 0, 1, 1, (), lambda: Job({"nalr": Runnable(note)}, lambda: None))

    def note():
        seen.append(threads.get_num_threads())

    before = threads.get_num_threads()
    measure.measure(work, measure.Effort(1, budget=0.01))
    assert set(seen) == {1} and threads.get_num_threads() == before


@pytest.mark.parametrize("got", [1.02, -1.0, NAN, math.inf])
def test_answers_that_do_not_agree_are_refused(got):
    with pytest.raises(WrongAnswer, match="it is .*, expected 1.0 within 0.01"):
        agree("it", got, 1.0, 0.01)


def test_one_size_alone_is_not_called_flat_and_the_smallest_batch_counts():
    def cost(rows, dimension, seconds):
        return result({"nalr": [seconds]}, rows=rows, dimension=dimension)

    assert facts.flatness([cost(4, 10**5, 1.0), cost(32, 10**5, 1.0)]) == []
    (fact,) = facts.flatness([cost(4, 10**5, 0.4), cost(32, 10**5, 9.0), cost(4, 10**6, 8.0)])
    assert fact.value == pytest.approx(2.0) and fact.excess == pytest.approx(2.0 / 1.3 - 1.0)


@pytest.mark.slow
def test_the_controller_holds_three_vectors_and_the_sums_none():
    found = {fact.what: fact for fact in facts.memory()}
    assert all(fact.excess == 0.0 for fact in found.values()), found
    assert found["controller, float64 path: held"].value > 23.0  # an allocation that is not seen is no proof


def test_starts_are_in_the_units_of_their_limits(monkeypatch):
    monkeypatch.setattr(facts, "_python", lambda script, **environment: "0.01 0.04")
    imports, classes, cold, warm = facts.start(quick=True)
    assert classes.value == 40.0
    assert (imports.value, imports.unit) == (10.0, "ms")
    assert cold.limit == 5.0 and warm.limit == 0.7
