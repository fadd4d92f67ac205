"""The demo: what it compares, claims, prints and draws, and its exit status."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot

import nalr.cli
from nalr_bench.demo import comparisons as module
from nalr_bench.demo.claims import Claim, check
from nalr_bench.demo.comparisons import (
    BASELINES,
    CONSTANT,
    LABELS,
    LINEAR,
    NALR_LARGE,
    NALR_NO_HORIZON,
    NALR_SMALL,
    SMALL,
    Comparison,
    MethodResult,
    Outcome,
    compare,
    comparisons,
)
from nalr_bench.demo.figures import drawable
from nalr_bench.demo.problems import DIGITS, RUGGED, VALLEY, rugged, valley
from nalr_bench.demo.recording import Recorded, record
from nalr_bench.demo.table import HEADINGS, render
from nalr_bench.parallel import Workers
from nalr_bench.race.engine.result import Result
from nalr_bench.race.engine.run import Start
from tests.helpers import HANG, process_group, run_python

TOP = Path(__file__).resolve().parents[2]


def main(arguments):
    return nalr.cli.main(["demo", *arguments])


def result(final_losses, *, solved=None, accuracies=None, rate=0.1, at_edge=False):
    """Return a method's result with these final losses, made up."""
    results = tuple(
        Result(
            final_loss=loss,
            diverged=math.isinf(loss),
            solved=None if solved is None else solved[seed],
            steps=[1],
            losses=[loss],
            rates=[rate],
            seconds=0.0,
            metrics=None if accuracies is None or math.isinf(loss) else {"test_accuracy": accuracies[seed]},
        )
        for seed, loss in enumerate(final_losses)
    )
    score = math.exp(np.mean(np.log(np.array(final_losses) + 1e-3)))
    return MethodResult(
        rate,
        score,
        results,
        Recorded(results[0], np.array([1]), np.ones(1), np.ones(1), np.zeros((2, 2)), None),
        at_edge,
    )


def outcome(entry, **methods):
    """Return an outcome of four seeds where every method ends at 1, or as given."""
    keys = ("small", "constant", "linear", "nalr", "no_horizon", "large")
    results = {label: methods.get(key, result([1.0] * 4)) for key, label in zip(keys, LABELS, strict=True)}
    return Outcome(Comparison(entry, tuple(range(4)), (0.1, 1.0)), results)


def tiny(*, quick=False, seed=0):
    """Return the demo's comparisons cut to a moment's work."""
    return tuple(
        replace(item, seeds=item.seeds[:2], grid=item.grid[2:4], num_steps=40)
        for item in comparisons(quick=True, seed=seed)
    )


def tiny_valley(**settings):
    """Return one of them: for what is the same with any problem."""
    return tiny(**settings)[1:2]


# -- comparisons ----------------------------------------------------------------------------------


def test_a_quick_demo_has_the_same_problems_and_fewer_seeds_and_rates():
    full, quick = comparisons(), comparisons(quick=True)
    for whole, cut in zip(full, quick, strict=True):
        assert cut.entry == whole.entry and cut.num_steps is whole.num_steps is None
        assert set(cut.seeds) < set(whole.seeds) and len(cut.grid) < len(whole.grid)
    assert not set(full[0].seeds) & set(comparisons(seed=1)[0].seeds)


def test_paths_are_kept_where_they_can_be_drawn():
    network = record(Start(DIGITS, BASELINES[CONSTANT], 0.1, 0, num_steps=3))
    assert network.path is None and network.steps.tolist() == [1, 2, 3]
    surface = record(Start(VALLEY, BASELINES[CONSTANT], 1e-3, 0, num_steps=4))
    at = valley().full_loss
    np.testing.assert_array_equal(surface.losses, [at(point) for point in surface.path[1:]])
    assert surface.losses.tolist() == surface.result.losses


def test_the_rugged_start_is_many_bumps_away():
    problem = rugged()
    distances = np.abs([problem.start(seed) for seed in range(50)])
    assert distances.min() >= 3.2 and distances.max() <= 4.8
    assert problem.solved(np.array([0.31, -0.31])) and not problem.solved(np.array([0.0, 0.32]))


def test_the_valley_starts_where_it_is_customary():
    np.testing.assert_array_equal(valley().start(3), [-1.2, 1.0])


def test_a_comparison_tunes_the_baselines_and_starts_nalr_wrong():
    comparison = tiny()[1]
    calls = []
    with Workers(jobs=1) as workers:
        made = compare(comparison, workers, lambda: calls.append(1))
    best = made.methods[CONSTANT].rate
    assert len(calls) == comparison.num_runs
    assert tuple(made.methods) == LABELS
    assert {made.methods[label].rate for label in (SMALL, NALR_SMALL, NALR_NO_HORIZON)} == {best / 100}
    assert made.methods[NALR_LARGE].rate == best * 100
    assert best in comparison.grid and made.methods[LINEAR].rate in comparison.grid
    for method in made.methods.values():
        assert len(method.results) == len(comparison.seeds)
        assert method.example.result.losses == method.results[0].losses  # the same run, recorded
        assert method.example.path.shape == (41, 2)
    assert made.methods[SMALL].example.history is None
    assert len(made.methods[NALR_SMALL].example.history["lr"]) == 40
    assert made.ratio(CONSTANT) == 1.0


# -- table and claims -----------------------------------------------------------------------------


def test_the_table_says_what_was_measured():
    half = result([0.499] * 4, solved=[True, True, True, False], rate=0.001)
    lost = result([1.0, math.inf, 1.0, 1.0])
    edge = result([1.0] * 4, at_edge=True)
    text = render([outcome(RUGGED, nalr=half, large=lost, constant=edge)])
    lines = text.splitlines()
    assert all(heading in lines[1] for heading in HEADINGS)
    assert lines[0] == "Rugged bowl, 2 parameters: 2000 steps, 4 seeds, loss + 0.001"

    def row(label):
        return next(line for line in lines if line.startswith(label)).removeprefix(label).split()

    assert row(NALR_SMALL) == ["0.001", "0.5", "0.5", "-", "75%", "0/4"]  # 0.5 / 1.001 to three digits
    assert row(NALR_LARGE) == ["0.1", "inf", "inf", "-", "-", "1/4"]
    assert row(CONSTANT) == ["0.1*", "1", "1", "-", "-", "0/4"]  # the best of the grid is at its edge


def failures(*outcomes, **settings):
    return [claim.text for claim in check(outcomes, **settings) if not claim.holds]


def test_every_claim_about_surfaces_can_fail_and_says_so():
    good = {"small": result([9.0] * 4, solved=[False] * 4), "nalr": result([0.5] * 4, solved=[True] * 4)}
    assert failures(outcome(RUGGED, **good)) == []
    assert failures(outcome(VALLEY, nalr=result([1.09] * 4))) == []
    (level,) = failures(outcome(VALLEY, nalr=result([1.11] * 4)))
    assert level.endswith("above the tuned linear decay: 1.11 against 1, ratio 1.11")
    stuck = good | {"nalr": result([0.5] * 4, solved=[True, True, True, False])}
    (share,) = failures(outcome(RUGGED, **stuck))
    assert share.endswith("of 4 seeds: 75%")
    lucky = good | {"small": result([9.0] * 4, solved=[True, False, False, False])}
    (easy,) = failures(outcome(RUGGED, **lucky))
    assert easy.endswith("reaches it on none: 25%")
    diverged = good | {"large": result([1.0, math.inf, 1.0, 1.0])}
    assert failures(outcome(RUGGED, **diverged)) == ["no run diverged: 1 of 24"]


def test_a_network_is_judged_beside_the_tuned_decay_on_held_out_data_too():
    accuracies = np.array([0.96, 0.97, 0.98, 0.99])
    decay = result([1.0] * 4, accuracies=accuracies)

    def beside(differences, loss=1.0):
        ours = result([loss] * 4, accuracies=accuracies + differences)
        return failures(outcome(DIGITS, linear=decay, nalr=ours, large=decay))

    # Two standard errors of differences that vary by .01 either way are .01155, whatever both have in common.
    varied = np.array([-0.01, 0.01, -0.01, 0.01])
    assert beside(0.0) == [] and beside(varied - 0.0115) == []
    (accuracy,) = beside(varied - 0.0116)
    assert accuracy.endswith("decay: 96.3% against 97.5%, 2 standard errors 1.2%")
    (level,) = beside(0.0, loss=1.11)
    assert level.endswith("above the tuned linear decay: 1.11 against 1, ratio 1.11")


def test_a_diverged_network_is_not_as_accurate_whatever_the_error():
    decay = result([1.0] * 4, accuracies=[0.96, 0.97, 0.98, 0.99])
    for lost in ([2, 3], [0, 1, 2, 3]):
        losses = [math.inf if k in lost else 1.0 for k in range(4)]
        ours = replace(result(losses, accuracies=[0.99] * 4), score=0.5)
        accuracy, diverged = failures(outcome(DIGITS, linear=decay, nalr=ours, large=decay))
        assert "as accurate on held-out data" in accuracy
        assert diverged == f"no run diverged: {len(lost)} of 24"


def test_a_quick_demo_claims_only_what_few_seeds_show():
    worse = outcome(VALLEY, nalr=result([5.0] * 4))
    assert failures(worse, quick=True) == []
    assert len(check([worse], quick=True)) == 1


def test_curves_leave_out_what_no_logarithm_shows():
    np.testing.assert_array_equal(
        drawable(np.array([1.0, 0.5, 0.0, -1e-16, 1e9, np.inf, np.nan])), [1.0, 0.5] + [np.nan] * 5
    )


# -- the command ----------------------------------------------------------------------------------


def test_save_writes_the_figures_and_names_them(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(module, "comparisons", tiny)
    folder = tmp_path / "made" / "here"
    assert main(["--quick", "--save", str(folder), "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    names = ["rugged-surface", "rugged-nalr", "rugged-curves", "valley-curves", "digits-curves"]
    for name in names:
        path = folder / f"{name}.png"
        assert str(path) in out
        assert path.read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.iterdir())) == len(names)
    assert out.count("\nholds") == 1 and "does not hold" not in out


def test_without_a_display_one_line_says_how_to_save(monkeypatch, capsys):
    monkeypatch.setattr(module, "comparisons", tiny_valley)
    assert main(["--quick", "--jobs", "1"]) == 0
    assert "No display for the figures: --save DIR writes them as PNG files.\n" in capsys.readouterr().out
    assert main(["--quick", "--jobs", "1", "--no-show"]) == 0
    assert "No display" not in capsys.readouterr().out


def test_with_a_display_every_figure_gets_a_window(monkeypatch):
    shown = []
    monkeypatch.setattr(module, "comparisons", tiny_valley)
    monkeypatch.setattr("nalr_bench.demo.windows.available", lambda: True)
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(len(pyplot.get_fignums())))
    try:
        assert main(["--quick", "--jobs", "1"]) == 0
        assert shown == [1]
        assert main(["--interactive"]) == 0
        assert shown == [1, 2]
    finally:
        pyplot.close("all")


def test_a_claim_that_does_not_hold_is_printed_and_is_no_failure_of_the_program(monkeypatch, capsys):
    monkeypatch.setattr(module, "comparisons", tiny_valley)
    monkeypatch.setattr("nalr_bench.demo.claims.check", lambda outcomes, quick: [Claim("a false one", False)])
    assert main(["--quick", "--jobs", "1", "--no-show"]) == 0
    assert "does not hold  a false one\n" in capsys.readouterr().out


def test_json_is_all_that_is_printed_and_the_report_has_the_same_numbers(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(module, "comparisons", tiny)
    page = tmp_path / "demo.md"
    assert main(["--quick", "--jobs", "1", "--json", "--report", str(page)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["problem"] for each in found["problems"]] == ["rugged", "valley", "digits"]
    text = page.read_text(encoding="utf-8")
    for problem in found["problems"]:
        for method in problem["methods"]:
            assert f"| {method['method']} | {method['start_rate']:.3g}" in text
            assert f"| {method['final_loss']:.3g} |" in text
    assert [claim["holds"] for claim in found["claims"]] == [True]


def test_a_failure_is_one_line_on_stderr(monkeypatch, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("in the way")
    assert main(["--quick", "--save", str(file)]) == 1
    assert capsys.readouterr().err.startswith("nalr demo: ")

    def broken(**settings):
        raise RuntimeError("no luck")

    monkeypatch.setattr(module, "comparisons", broken)
    assert main(["--quick", "--no-show"]) == 1
    assert capsys.readouterr().err == "nalr demo: failed with RuntimeError: no luck\n"


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["--quick", "--no-show"]) == 1
    assert 'pip install "nalr[demo]"' in capsys.readouterr().err


def test_a_wrong_option_is_refused_in_one_line():
    refused = run_python(str(TOP / "demo.py"), "--jobs", "none")
    assert refused.returncode == 2
    assert refused.stdout == "" and refused.stderr.count("\n") == 1
    assert "must be a whole number of at least 1, got 'none'" in refused.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a process group")
def test_ctrl_c_exits_with_130_and_one_line(tmp_path):
    started = tmp_path / "started"
    script = (
        "import signal, sys, pathlib, nalr.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "from nalr_bench.parallel import Workers\n"
        "stream = Workers.stream\n"
        "def touched(self, function, items):\n"
        "    for made in stream(self, function, items):\n"
        f"        pathlib.Path({str(started)!r}).touch()\n"
        "        yield made\n"
        "Workers.stream = touched\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(nalr.cli.main(['demo', '--no-show', '--jobs', '2']))\n"
    )
    file = tmp_path / "interrupted.py"
    file.write_text(script)
    with process_group(sys.executable, str(file)) as process:
        wait_for(started)
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches the whole group, workers too
        out, err = process.communicate(timeout=HANG)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
def test_a_test_that_fails_leaves_no_process():
    reads, writes = os.pipe()  # ends when the last process that holds `writes` has ended
    worker = "import time; print('up', flush=True); time.sleep(600)"
    leader = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}], close_fds=False)"
    os.set_inheritable(writes, True)
    with (
        pytest.raises(ZeroDivisionError),
        process_group(sys.executable, "-c", leader, pass_fds=(writes,)) as process,
    ):
        os.close(writes)
        assert process.stdout.readline() == "up\n"
        _ = 1 / 0
    with os.fdopen(reads) as pipe:
        assert pipe.read() == ""
    assert process.returncode == -signal.SIGKILL


def wait_for(path):
    """Wait until a file is there: until the first run is done."""
    deadline = time.monotonic() + HANG
    while not path.exists():
        assert time.monotonic() < deadline, "the demo makes no runs"
        time.sleep(0.05)
