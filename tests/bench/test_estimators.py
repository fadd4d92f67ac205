"""`nalr bench estimators`: its numbers repeat, and it detects biased alternatives."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from nalr.cli import main
from nalr_bench.estimators import correlated
from nalr_bench.estimators import main as command
from nalr_bench.estimators.bias import RATIOS, Shifted
from nalr_bench.estimators.chance import Chance
from nalr_bench.estimators.correlated import CorrelatedSteps
from nalr_bench.estimators.faint import Faint
from nalr_bench.estimators.finding import Bias, Coverage
from nalr_bench.estimators.forms import NAIVE, OURS, SIGNAL, VARIANCE
from nalr_bench.estimators.hutchinson import SPECTRA, Trace
from nalr_bench.estimators.many_steps import Epochs, IndependentSteps
from nalr_bench.estimators.one_step import OneStep
from nalr_bench.estimators.plan import Plan
from nalr_bench.estimators.report import Report, render, worst

EPS = float(np.finfo(np.float32).eps)

LITTLE = [
    *(Shifted(source, dim) for source in ("normal", "replaced", "unreplaced") for dim in (10, 100)),
    Faint(8.0),
    OneStep(8, 10, 1.0),
    IndependentSteps(1.0, (16, 64)),
    CorrelatedSteps(1.0, (64, 200)),
    OneStep(16, 10, 1.0, 64),
    Epochs(1.0, (16,), 128),
    *(Trace(spectrum) for spectrum in SPECTRA),
]
"""A cell or a few of every kind."""


@pytest.fixture
def little(monkeypatch):
    """Replace the plan by that of a few small cells."""

    def plan(quick, only, draws, seed):
        return Plan([cell for cell in LITTLE if only is None or cell.study in only], draws or 30, seed)

    monkeypatch.setattr(command, "plan", plan)


def found(capsys, *arguments):
    """Return the JSON of a run in this process."""
    assert main(["bench", "estimators", "--json", "--jobs", "1", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


# -- the command, end to end --------------------------------------------------------------------------


@pytest.mark.slow
def test_json_is_all_that_is_printed_with_json(capsys, little):
    result = found(capsys, "--draws", "30", "--seed", "3")
    assert set(result) == {"draws", "seed", "biases", "coverages", "chance", "figures"}
    assert (result["draws"], result["seed"]) == (30, 3)
    assert {each["study"] for each in result["biases"]} == {"bias", "example"}
    assert {each["study"] for each in result["coverages"]} == {
        "rows",
        "steps",
        "correlated",
        "population",
        "probes",
    }
    ours = [each for each in result["biases"] if each["form"] == OURS]
    assert len(ours) == result["chance"]["count"] == 6 * len(RATIOS) * 2 + 2
    for each in result["biases"]:
        assert each["draws"] == (600 if each["study"] == "example" else 30)
        assert each["value"] == pytest.approx((each["mean"] - each["truth"]) / each["standard_error"])
    for each in result["coverages"]:
        assert each["value"] == each["hits"] / 30
    assert {"tr Σ", "|G|²", "B_simple", "signal fraction", "tr H"} == {
        each["quantity"] for each in result["coverages"]
    }


def test_a_table_is_printed_that_fits_a_terminal(capsys, little):
    assert main(["bench", "estimators", "--quick", "--draws", "30", "--jobs", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 110
    for text in (
        "|G|², each step clamped first",
        "|G|², |ḡ|² uncorrected",
        "|G|², population unknown",
        "tr Σ, divided by k",
        "tr Σ, as if independent",
        "Intervals: Hutchinson's trace",
        "figures are reached.",
    ):
        assert text in out


def test_a_report_holds_every_cell_and_the_command(capsys, little, tmp_path):
    path = tmp_path / "estimators.md"
    arguments = ["--draws", "30", "--only", "bias,probes", "--seed", "1"]
    assert main(["bench", "estimators", *arguments, "--jobs", "1", "--report", str(path)]) == 0
    assert capsys.readouterr().err == f"{path}\n"
    text = path.read_text(encoding="utf-8")
    assert "Made by `nalr bench estimators --only bias,probes --draws 30 --seed 1`" in text
    for line in (
        "| 64 probes, rank one, D = 100 |",
        r"| D = 100, \|G\|²/tr Σ = 0.0001 |",
        "## Every interval",
    ):
        assert line in text


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table_on_any_number_of_processes(capsys, little, monkeypatch):
    for kind in (Trace, OneStep, Faint):  # several blocks of each, which come back in any order
        monkeypatch.setattr(kind, "block", 7)
    monkeypatch.setattr(Faint, "times", 1)
    arguments = ("--only", "example,rows,probes", "--draws", "30")
    alone = found(capsys, *arguments)
    assert found(capsys, *arguments, "--jobs", "2") == alone
    assert found(capsys, *arguments, "--seed", "1") != alone


def test_options_before_the_part_count_for_it(capsys, little):
    arguments = ["bench", "--json", "estimators", "--only", "rows", "--draws", "30", "--jobs", "1"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["biases"] == []


@pytest.mark.parametrize(
    "option", [("--size", "10"), ("--only", "batch"), ("--plot", "x.svg"), ("--threads", "1")]
)
def test_options_of_the_kernels_are_refused(capsys, option):
    assert main(["bench", *option, "estimators"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "fly"), "argument --only: must be one of bias, example,"),
        (("--draws", "29"), "argument --draws: must be at least 30, got '29'"),
        (("--draws", "x"), "argument --draws: must be a whole number of at least 1, got 'x'"),
        (("--seed", "-1"), "argument --seed: must be a whole number of at least 0, got '-1'"),
        (("--jobs", "0"), "argument --jobs: must be a whole number of at least 1, got '0'"),
        (("--report", "x.txt"), "argument --report: must end with .md, got 'x.txt'"),
        (("--loud",), "unrecognized arguments: --loud"),
    ],
)
def test_wrong_options_are_refused_in_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as refusal:
        main(["bench", "estimators", *arguments])
    out, err = capsys.readouterr()
    assert (refusal.value.code, out, err.count("\n")) == (2, "", 1)
    assert message in err


# -- what it finds ------------------------------------------------------------------------------------


def test_biased_alternatives_are_far_beyond_chance_where_ours_is_not(capsys, little):
    result = found(capsys, "--only", "bias,example", "--draws", "250")
    largest = {}
    for each in result["biases"]:
        key = (each["quantity"], each["form"])
        largest[key] = max(largest.get(key, 0.0), abs(each["value"]))
    # 74 independent biases have one beyond 4.5 in one seed of 2000.
    assert largest.pop((SIGNAL, OURS)) < 4.5
    assert largest.pop((VARIANCE, OURS)) < 4.5
    assert set(largest) == {
        (SIGNAL, "each step clamped first"),
        (SIGNAL, NAIVE),
        (SIGNAL, "population unknown"),
        (VARIANCE, "divided by k"),
    }
    assert min(largest.values()) > 8.0


def test_the_noise_scale_of_the_naive_signal_is_the_batch(capsys, little):
    assert main(["bench", "estimators", "--only", "example", "--draws", "100", "--jobs", "1"]) == 0
    assert "32 samples instead of 20000 with 4 rows of 8 samples" in capsys.readouterr().out


def test_the_interval_of_independent_steps_is_far_too_narrow_on_correlated_ones(capsys, little):
    result = found(capsys, "--only", "correlated", "--draws", "200")
    independent = [each for each in result["coverages"] if each["form"] == "as if independent"]
    assert len(independent) == 8
    assert all(each["outside"] and each["value"] < 0.5 for each in independent)


def test_the_interval_of_independent_steps_is_right_on_independent_ones(rng):
    values = rng.normal(3.0, 1.0, size=(4000, 50))
    for decay in (0.9, 0.99):
        share = correlated.independent(values, decay, 3.0) / 4000
        assert abs(share - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


# -- verdicts -----------------------------------------------------------------------------------------


def coverage(hits, draws=10_000, form=OURS):
    return Coverage("rows", "one step", f"{hits} of {draws}", "tr Σ", form, draws, hits)


def bias(z, form=OURS):
    return Bias("bias", "rows", f"z = {z}", "tr Σ", form, 100, 1.0, 1.0, 1.0 + 0.1 * z, 0.1)


def test_a_coverage_is_outside_beyond_two_standard_errors():
    assert not coverage(9300).outside and not coverage(9700).outside
    assert not coverage(9250).outside and coverage(9248).outside  # 2 × √(.93 × .07/10000) = .0051
    assert not coverage(9734).outside and coverage(9735).outside  # 2 × √(.97 × .03/10000) = .0034
    assert not coverage(20, 20).outside and coverage(0, 20).outside


def test_a_bias_is_outside_beyond_three_standard_errors():
    assert not bias(2.99).outside and bias(-3.01).outside
    assert bias(math.nan).outside


def test_chance_is_that_of_independent_normals():
    scores = [0.1, -2.5, 2.2, 1.0]
    chance = Chance.of(scores)
    assert (chance.count, chance.beyond, chance.worst) == (4, 2, 2.5)
    assert chance.expected == pytest.approx(4 * 0.0455, rel=1e-3)
    assert chance.probability == pytest.approx(1 - (1 - 0.012419) ** 4, rel=1e-3)


def test_figures_missed_are_marked_and_named():
    report = Report(
        10_000, 0, [bias(3.5), bias(0.0), bias(9.0, "alternative"), coverage(9000), coverage(9900)]
    )
    text = render(report)
    assert "1 of 2 outside" in text and "1 of 1 wrong" in text and "2 of 2 outside" in text
    assert "0 of 2 figures are reached." in text
    assert [line.split()[0] for line in worst(report)] == ["+3.50", "90.0%"]
