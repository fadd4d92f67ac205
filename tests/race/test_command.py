"""What ``nalr race`` says of itself: what it runs, and what it leaves out."""

from __future__ import annotations

import argparse

from nalr.cli import main
from nalr_bench.race.choice import choose
from nalr_bench.race.engine.run import run
from nalr_bench.race.main import shortened
from nalr_bench.race.options import add_options


def test_many_that_are_left_out_have_one_line_by_reason():
    few = ["dog: needs the package a", "momo: needs the package b"]
    assert shortened(few) == few
    torch = [f"net-{i}: needs the package torch" for i in range(30)]
    assert shortened([*few[:1], *torch]) == [
        "30 (needs the package torch), 1 (needs the package a); --json names them"
    ]


def test_a_race_says_what_it_raced(capsys, monkeypatch):
    monkeypatch.setattr(
        "nalr_bench.race.main.race", lambda starts, *_: {each.key: run(each) for each in starts}
    )
    arguments = ["--problem", "one-row", "--seeds", "1", "--steps", "20", "--cache", "none", "--jobs", "1"]
    assert main(["race", "--method", "nalr sgd", *arguments]) == 0
    first = capsys.readouterr().out.split("\n\n")[0]
    assert first == "1 problem (one-row), 3 methods, 1 seed, 20 steps"  # and the two tuned schedules


def test_the_quick_race_names_its_problems():
    parser = argparse.ArgumentParser()
    add_options(parser)
    (choice,) = choose(parser.parse_args(["--quick", "--method", "nalr sgd"]))
    assert choice.described() == (
        "6 problems (quadratic-easy, rugged-2d-noise-.5, mlp-digits, rugged-10d-noise-0, one-row, "
        "logistic-digits-scaled), 3 methods, 2 seeds, 500 steps"
    )
    (choice,) = choose(parser.parse_args(["--method", "nalr sgd"]))
    assert choice.described() == "33 problems, 3 methods, 5 seeds, as many steps as planned"
