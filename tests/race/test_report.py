"""The race's tables, its JSON and its pictures."""

from __future__ import annotations

import json
import math

import pytest

from nalr_bench.race.engine.result import Key
from nalr_bench.race.reports.base_rates import plot_base_rates, plot_rates
from nalr_bench.race.reports.curves import curves
from nalr_bench.race.reports.report import Report, problem_rows, render
from nalr_bench.race.scoring.score import Score
from tests.race.example import ENTRIES, EPSILONS, EXAMPLE, FIELD, FREE, LINEAR, OURS, result, runs


def report(results=EXAMPLE, entries=ENTRIES, field=FIELD):
    score = Score(results, entries, EPSILONS, field)
    return Report(score.standings(), score.tuned())


def line_of(text, name):
    return next(line for line in text.splitlines() if line.removeprefix("| ").startswith(name))


def test_a_line_says_how_a_method_did_in_each_group():
    line = line_of(render(report()), "ours")
    assert "2.00 [" in line and "1.41 [" in line and line.count("(2 of 5 cells)") == 2
    assert "4.00 (bowl, b = 1)" in line and "50.0%" in line and " 0% " in line
    free = line_of(render(report()), "free")
    assert "2.00 (valley)" in free and "cells" not in free


def test_methods_are_in_the_order_of_their_scores_and_by_optimizer():
    names = [each["all"].method for each in report().by_optimizer()["sgd"]]
    assert names[0] == "free" and set(names) == {"free", "ours", "sgd linear", "sgd constant"}
    lines = render(report()).splitlines()
    assert [line.split("  ")[0] for line in lines[2:6]] == names
    assert lines[0].startswith("sgd ") and set(lines[1]) == {"-"}
    assert len({len(line) for line in lines[:6]}) == 1  # one table, aligned


def test_a_best_factor_at_the_edge_of_the_grid_is_reported():
    assert "Best at the edge of its grid, sgd linear: bowl (1), valley (0.1)." in render(report())
    inner = {**EXAMPLE, **runs("bowl", "sgd linear", {10.0: [9, 9]})}
    assert "sgd linear: valley (0.1)." in render(report(inner))


def test_what_is_missing_is_a_dash_and_an_empty_race_an_empty_report():
    text = render(report({key: r for key, r in EXAMPLE.items() if key.method == "ours"}))
    assert line_of(text, "ours").split()[1] == "-"
    assert render(Report([], [])) == ""
    one_group = line_of(render(report(entries=ENTRIES[:1])), "ours")
    assert one_group.split()[1] == "2.00" and " - " in one_group  # nothing was held-out


def test_regret_by_problem():
    headings, bowl, valley = problem_rows(report(), "sgd")
    assert headings == ("regret", "free", "linear", "ours", "constant")
    assert bowl[:4] == ("bowl", "0.25", "1.22", "2.00")  # linear: √(1.5 · 1)
    assert valley[:4] == ("valley", "2.00", "1.41", "1.41")


def test_json_is_strict_and_whole():
    found = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    ours = next(s for s in found["standings"] if s["method"] == "ours" and s["group"] == "all")
    assert ours["score"] == pytest.approx(8**0.25) and ours["worst"] == pytest.approx([4.0, "bowl", 1.0])
    assert ours["profile"][0] == pytest.approx([0.1, 2.0]) and ours["escape"] is None
    free = next(s for s in found["standings"] if s["method"] == "free")
    assert free["profile"][0][0] is None
    assert found["tuned"][0]["factor"] == 1.0 and found["tuned"][0]["at_edge"] is True


class TestBaseRates:
    def test_a_line_for_each_method_on_logarithmic_axes(self):
        figure = plot_base_rates(report().to_dict())
        (ax,) = figure.axes
        labels = [line.get_label() for line in ax.lines]
        assert (
            labels[:3] == ["free: 0.71", "sgd linear: 1.32", "ours: 1.68"]
            and labels[-1] == "hand-tuned linear: 1"
        )
        assert ax.get_xscale() == ax.get_yscale() == "log"
        assert "base rate" in ax.get_xlabel() and "regret" in ax.get_ylabel()
        free, _, ours = ax.lines[:3]
        assert list(free.get_ydata()) == pytest.approx([math.sqrt(0.5)] * 2)  # level
        assert list(ours.get_xdata()) == [0.1, 1.0, 10.0]
        assert ours.get_ydata()[:2] == pytest.approx([2.0, math.sqrt(2.0)])

    def test_ours_are_bold_and_alike_in_every_panel(self):
        def method(name, optimizer, score=1.0, tuning_free=True):
            shared = {"group": "all", "profile": [[0.1, score], [1.0, score]], "tuning_free": tuning_free}
            return {"method": name, "optimizer": optimizer, "score": score, **shared}

        methods = [
            *(method(f"nalr {o}", o) for o in ("sgd", "adamw")),
            *(method(f"nalr {o} anytime", o, 0.5) for o in ("sgd", "adamw")),
            *(method(f"{o} linear", o, 30.0, tuning_free=False) for o in ("sgd", "adamw")),
            method("dog", "sgd", 2.0),
        ]
        figure = plot_base_rates({"standings": methods})
        looks = [
            {line.get_label().split(":")[0]: (line.get_color(), line.get_linestyle()) for line in ax.lines}
            for ax in figure.axes
        ]
        assert looks[0]["nalr sgd"] == looks[1]["nalr adamw"] != looks[1]["nalr adamw anytime"]
        assert looks[0]["sgd linear"] == looks[1]["adamw linear"]
        widths = {line.get_label().split(":")[0]: line.get_linewidth() for line in figure.axes[0].lines}
        assert widths["nalr sgd"] == widths["nalr sgd anytime"] > widths["dog"] > widths["sgd linear"]
        assert_nothing_is_cut_off(figure)

    def test_a_group_can_be_had_alone_and_must_be_there(self):
        labels = [line.get_label() for line in plot_base_rates(report().to_dict(), "tuning").axes[0].lines]
        assert "ours: 2.00" in labels
        with pytest.raises(ValueError, match="standings of group 'held-out' with a score, got none"):
            plot_base_rates(report(entries=ENTRIES[:1]).to_dict(), "held-out")


class TestRates:
    RESULTS = {
        **{
            Key("bowl", "ours", b, 0): result(1, curve=((1, 10, 20), (5.0, math.inf, 2.0)))
            for b in (1.0, 0.1)
        },
        **{Key("bowl", "ours", 0.1, 1): result(1), Key("valley", "ours", 0.1, 0): result(1)},
        **{Key("bowl", "sgd linear", b, 0): result(b, curve=((1, 20), (5.0, 1.5))) for b in (1.0, 10.0)},
    }

    def curves(self):
        tuned = Score(self.RESULTS, ENTRIES[:1], EPSILONS, [LINEAR, OURS, FREE]).tuned()[0]
        return curves(self.RESULTS, "bowl", "ours", 0, tuned)

    def test_curves_are_one_methods_runs_and_the_tuned_one(self):
        found = self.curves()
        assert [(r["method"], r["factor"], r["tuned"]) for r in found["runs"]] == [
            ("ours", 0.1, False),
            ("ours", 1.0, False),
            ("sgd linear", 1.0, True),
        ]
        assert found["runs"][0]["losses"] == [5.0, None, 2.0]
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert curves(EXAMPLE, "bowl", "free", 0)["runs"][0]["factor"] is None

    def test_rates_are_over_losses(self):
        figure = plot_rates(self.curves())
        rates, losses = figure.axes
        labels = [line.get_label() for line in rates.lines]
        assert labels == ["b = 0.1", "b = 1", "sgd linear, tuned, b = 1"]
        assert rates.get_yscale() == losses.get_yscale() == "log" and losses.get_xlabel() == "step"
        assert list(losses.lines[0].get_xdata()) == [1, 10, 20] and math.isnan(losses.lines[0].get_ydata()[1])
        assert_nothing_is_cut_off(figure)

    def test_a_method_without_rates_and_losses_below_zero_are_drawn_and_no_runs_refused(self):
        found = curves(EXAMPLE, "bowl", "free", 0)
        found["runs"][0] |= {"rates": [None], "losses": [-1.0]}
        rates, losses = plot_rates(found).axes
        assert losses.get_yscale() == "linear" and rates.lines[0].get_label() == "free"
        with pytest.raises(ValueError, match="must hold a run on bowl, got none"):
            plot_rates({"problem": "bowl", "runs": []})


def assert_nothing_is_cut_off(figure):
    figure.draw_without_rendering()
    whole = figure.bbox
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1
        assert whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1
