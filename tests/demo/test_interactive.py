"""The demo's window with sliders, drawn without a display."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import nalr.cli
from nalr_bench.demo import interactive


def test_simulate_starts_both_methods_at_the_same_point_and_rate():
    settings = interactive.Settings(noise_scale=0.5, roughness=1.0, base_lr=0.01, seed=2)
    runs = interactive.simulate(settings, num_steps=200)
    fixed, adaptive = runs[interactive.FIXED], runs[interactive.NALR]
    np.testing.assert_array_equal(fixed.path[0], adaptive.path[0])
    assert set(fixed.result.rates) == {0.01}
    assert adaptive.result.rates[0] == 0.01
    assert adaptive.path.shape == fixed.path.shape == (201, 2)


def test_a_smooth_bowl_is_solved_by_both():
    runs = interactive.simulate(interactive.Settings(noise_scale=0.0, roughness=0.0, base_lr=0.1), 300)
    for label, run in runs.items():
        assert run.result.solved
        assert interactive.verdict(label, run.result).endswith("in the global basin")


def test_the_verdict_tells_a_local_minimum_and_a_divergence():
    runs = interactive.simulate(interactive.Settings(base_lr=1e-4), num_steps=100)
    assert interactive.verdict("it", runs[interactive.FIXED].result).endswith("in a local minimum")
    runs = interactive.simulate(interactive.Settings(base_lr=1e3), num_steps=200)
    assert interactive.verdict("it", runs[interactive.FIXED].result) == "it: diverged"


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
    assert panel.runs[interactive.FIXED].result.rates[0] == 0.01
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
    assert panel.runs[interactive.FIXED].result.diverged
    figure.canvas.draw()


def test_interactive_without_a_display_says_so(capsys):
    assert nalr.cli.main(["demo", "--interactive"]) == 1
    assert "needs a display" in capsys.readouterr().err
