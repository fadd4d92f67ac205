"""The demo: what it compares, claims, prints and draws, and its exit status."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import nalr.cli
from nalr_bench.adaptive import Adaptive
from nalr_bench.demo import comparisons as module
from nalr_bench.demo import interactive
from nalr_bench.demo.claims import Claim, check
from nalr_bench.demo.comparisons import (
    CONSTANT,
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
    rugged,
    valley,
)
from nalr_bench.demo.figures import drawable
from nalr_bench.demo.table import HEADINGS, render
from nalr_bench.parallel import Workers
from nalr_bench.runs import Run
from nalr_bench.schedules import Constant
from nalr_bench.tuning import Tuned


def main(arguments):
    return nalr.cli.main(["demo", *arguments])


TOP = Path(__file__).resolve().parents[2]


def result(final_losses, *, solved=None, accuracy=None, base_lr=0.1):
    runs = tuple(
        Run(
            problem="made up",
            rule=Constant(base_lr),
            seed=seed,
            final_loss=loss,
            diverged=math.isinf(loss),
            metrics={} if accuracy is None else {"test_accuracy": accuracy},
            solved=None if solved is None else solved[seed],
        )
        for seed, loss in enumerate(final_losses)
    )
    score = math.exp(np.mean(np.log(np.array(final_losses) + 1e-3)))
    return MethodResult(Constant(base_lr), score, runs, runs[0])


def outcome(problem, **methods):
    """Return an outcome of four seeds where every method ends at 1, or as given."""
    results = {
        label: methods.get(key, result([1.0] * 4))
        for key, label in (
            ("small", SMALL),
            ("constant", CONSTANT),
            ("linear", LINEAR),
            ("nalr", NALR_SMALL),
            ("no_horizon", NALR_NO_HORIZON),
            ("large", NALR_LARGE),
        )
    }
    scores = ((0.1, 1.0), (1.0, 2.0))
    tuned = {label: Tuned(Constant(0.1), 1.0, scores, results[label].runs) for label in (CONSTANT, LINEAR)}
    return Outcome(Comparison(problem, tuple(range(4)), (0.1, 1.0)), results, tuned)


def tiny(*, quick=False, seed=0):
    """Return the demo's comparisons cut to a moment's work."""
    cut = []
    for item in comparisons(quick=True, seed=seed):
        item.problem.num_steps = 40
        cut.append(replace(item, seeds=item.seeds[:2], grid=item.grid[2:4]))
    return tuple(cut)


# -- comparisons ----------------------------------------------------------------------------------


def test_the_demo_compares_on_the_problems_it_promises():
    full, quick = comparisons(), comparisons(quick=True)
    assert [item.problem.name for item in full] == ["rugged", "valley", "digits"]
    assert [len(item.seeds) for item in full] == [50, 20, 10]
    assert all(item.problem.num_steps == 2000 for item in (*full, *quick))
    assert sum(item.num_runs for item in quick) < sum(item.num_runs for item in full) / 10
    assert not set(full[0].seeds) & set(comparisons(seed=1)[0].seeds)


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
    best = made.tuned[CONSTANT].rule.base_lr
    assert len(calls) == comparison.num_runs
    assert list(made.methods) == [SMALL, CONSTANT, LINEAR, NALR_SMALL, NALR_NO_HORIZON, NALR_LARGE]
    assert made.methods[SMALL].rule == Constant(best / 100)
    assert made.methods[NALR_SMALL].rule == Adaptive(best / 100)
    assert made.methods[NALR_NO_HORIZON].rule == Adaptive(best / 100, horizon=False)
    assert made.methods[NALR_LARGE].rule == Adaptive(best * 100)
    for method in made.methods.values():
        assert tuple(run.seed for run in method.runs) == comparison.seeds
        assert method.example.final_loss == method.runs[0].final_loss  # the same run, recorded
        assert method.example.curves is not None
    assert made.ratio(CONSTANT) == 1.0


# -- table and claims -----------------------------------------------------------------------------


def test_the_table_says_what_was_measured():
    half = result([0.499, 0.499, 0.499, 0.499], solved=[True, True, True, False], base_lr=0.001)
    lost = result([1.0, math.inf, 1.0, 1.0], accuracy=0.25)
    text = render([outcome(rugged(), nalr=half, large=lost)])
    lines = text.splitlines()
    assert all(heading in lines[0] for heading in HEADINGS)
    assert "Rugged bowl, 2 parameters: 2000 steps, 4 seeds, loss + 0.001" in lines
    row = next(line for line in lines if NALR_SMALL in line).removeprefix(f"  {NALR_SMALL}").split()
    assert row == ["0.001", "0.5", "0.5", "-", "75%", "0/4"]  # 0.5 / 1.001 to three digits
    row = next(line for line in lines if NALR_LARGE in line).removeprefix(f"  {NALR_LARGE}").split()
    assert row == ["0.1", "inf", "inf", "25.0%", "-", "1/4"]
    row = next(line for line in lines if CONSTANT in line).removeprefix(f"  {CONSTANT}").split()
    assert row == ["0.1*", "1", "1", "-", "-", "0/4"]  # the grid's smallest rate is marked
    assert len({len(line) for line in lines if line.startswith("  ")}) == 1


def failures(*outcomes, **settings):
    return [claim.text for claim in check(outcomes, **settings) if not claim.holds]


def test_every_claim_can_fail_and_says_so():
    good = {"small": result([9.0] * 4, solved=[False] * 4), "nalr": result([0.5] * 4, solved=[True] * 4)}
    assert failures(outcome(rugged(), **good)) == []
    assert str(check([outcome(rugged(), **good)])[0]).startswith("PASS  ")
    (level,) = failures(outcome(valley(), nalr=result([1.01] * 4)))
    assert "ends at 1.01" in level and "best constant rate at 1 " in level
    stuck = good | {"nalr": result([0.5] * 4, solved=[True, True, True, False])}
    (share,) = failures(outcome(rugged(), **stuck))
    assert "on 75% of 4 seeds" in share
    lucky = good | {"small": result([9.0] * 4, solved=[True, False, False, False])}
    (easy,) = failures(outcome(rugged(), **lucky))
    assert "the fixed small rate reaches it on 25%" in easy
    diverged = good | {"large": result([1.0, math.inf, 1.0, 1.0])}
    assert len(failures(outcome(rugged(), **diverged))) == 2
    assert str(Claim("x", False)) == "FAIL  x"


def test_a_quick_demo_claims_only_what_few_seeds_show():
    worse = outcome(valley(), nalr=result([5.0] * 4))
    assert failures(worse, quick=True) == []
    assert len(check([worse], quick=True)) == 2


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
    assert "Quick: cut to 2, 2, 2 seeds" in out
    assert out.count("PASS") == 2 and "FAIL" not in out


def test_without_a_display_one_line_says_how_to_save(monkeypatch, capsys):
    monkeypatch.setattr(module, "comparisons", tiny)
    assert main(["--quick", "--jobs", "1"]) == 0
    assert "No display for the figures: --save DIR writes them as PNG files.\n" in capsys.readouterr().out
    assert main(["--quick", "--jobs", "1", "--no-show"]) == 0
    assert "No display" not in capsys.readouterr().out


def test_with_a_display_every_figure_gets_a_window(monkeypatch):
    shown = []
    monkeypatch.setattr(module, "comparisons", tiny)
    monkeypatch.setattr("nalr_bench.demo.windows.available", lambda: True)
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(len(pyplot.get_fignums())))
    try:
        assert main(["--quick", "--jobs", "1"]) == 0
        assert shown == [5]
        assert main(["--interactive"]) == 0
        assert shown == [5, 6]
    finally:
        pyplot.close("all")


def test_a_failed_claim_fails_the_demo(monkeypatch, capsys):
    monkeypatch.setattr(module, "comparisons", tiny)
    monkeypatch.setattr("nalr_bench.demo.claims.check", lambda outcomes, quick: [Claim("a false one", False)])
    assert main(["--quick", "--jobs", "1", "--no-show"]) == 1
    assert "FAIL  a false one" in capsys.readouterr().out


def test_a_failure_is_told_on_stderr(monkeypatch, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("in the way")
    assert main(["--quick", "--save", str(file)]) == 1
    assert capsys.readouterr().err.startswith("The demo could not go on: ")

    def broken(**settings):
        raise RuntimeError("no luck")

    monkeypatch.setattr(module, "comparisons", broken)
    assert main(["--quick", "--no-show"]) == 1
    assert capsys.readouterr().err == "The demo failed with RuntimeError: no luck\n"


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["--quick", "--no-show"]) == 1
    assert 'pip install "nalr[demo]"' in capsys.readouterr().err


def test_a_wrong_option_is_refused_in_one_line():
    refused = subprocess.run(
        [sys.executable, str(TOP / "demo.py"), "--jobs", "none"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stdout == "" and refused.stderr.count("\n") == 1
    assert "must be a whole number of at least 1, got 'none'" in refused.stderr


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a process group")
@pytest.mark.parametrize("after", [0.7, 4.0])  # while workers start, and while they work
def test_ctrl_c_exits_with_130_and_one_line(after):
    process = subprocess.Popen(
        [sys.executable, str(TOP / "demo.py"), "--no-show", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the whole group, workers too
    )
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


# -- interactive ----------------------------------------------------------------------------------


def test_simulate_starts_both_methods_at_the_same_point_and_rate():
    settings = interactive.Settings(noise_scale=0.5, roughness=1.0, base_lr=0.01, seed=2)
    runs = interactive.simulate(settings, num_steps=200)
    fixed, adaptive = runs[interactive.FIXED], runs[interactive.NALR]
    np.testing.assert_array_equal(fixed.curves.trajectory[0], adaptive.curves.trajectory[0])
    assert set(fixed.curves.lrs) == {0.01}
    assert adaptive.rule.base_lr == 0.01
    assert len(adaptive.curves.lrs) == 200


def test_a_smooth_bowl_is_solved_by_both():
    runs = interactive.simulate(interactive.Settings(noise_scale=0.0, roughness=0.0, base_lr=0.1), 300)
    for label, run in runs.items():
        assert run.solved
        assert interactive.verdict(label, run).endswith("in the global basin")


def test_the_verdict_tells_a_local_minimum_and_a_divergence():
    runs = interactive.simulate(interactive.Settings(base_lr=1e-4), num_steps=100)
    assert interactive.verdict("it", runs[interactive.FIXED]).endswith("in a local minimum")
    runs = interactive.simulate(interactive.Settings(base_lr=1e3), num_steps=200)
    assert interactive.verdict("it", runs[interactive.FIXED]) == "it: diverged"


def test_the_panel_runs_anew_with_what_its_sliders_say():
    figure = Figure()
    FigureCanvasAgg(figure)
    panel = interactive.Panel(figure, seed=4, num_steps=50)
    first = panel.runs[interactive.FIXED]
    panel.noise_scale.set_val(2.0)
    panel.roughness.set_val(0.25)
    panel.log_base_lr.set_val(-2.0)
    assert panel.runs[interactive.FIXED] is first  # nothing runs before the button
    panel.run()
    assert panel.settings == interactive.Settings(2.0, 0.25, 0.01, seed=4)
    assert panel.runs[interactive.FIXED].rule == Constant(0.01)
    panel.run_with_new_noise()
    assert panel.settings == interactive.Settings(2.0, 0.25, 0.01, seed=5)
    assert len(panel.loss.lines) == len(panel.lr.lines) == 2
    figure.canvas.draw()


def test_the_panel_draws_a_diverged_run():
    figure = Figure()
    FigureCanvasAgg(figure)
    panel = interactive.Panel(figure, num_steps=200)
    panel.log_base_lr.set_val(1.0)
    panel.run()
    assert panel.runs[interactive.FIXED].diverged
    figure.canvas.draw()


def test_interactive_without_a_display_says_so(capsys):
    assert main(["--interactive"]) == 1
    assert "needs a display" in capsys.readouterr().err
