"""The command line: what it prints, and the exit status that scripts rely on."""

from __future__ import annotations

import json

import pytest

import nalr
from nalr.cli import _HOMES, main
from nalr_bench.cli import HOMES
from tests.helpers import run_python

homes = {**HOMES, **_HOMES}


def nalr_command(*arguments):
    return run_python("-m", "nalr", *arguments)


def test_version_is_printed():
    result = nalr_command("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"nalr {nalr.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fly",), "invalid choice: 'fly'"),
        (("--loud",), "nalr: unrecognized arguments: --loud (see nalr --help)"),
        (("demo", "--loud"), "nalr demo: unrecognized arguments: --loud (see nalr demo --help)"),
        (("race", "--loud", "now"), "nalr race: unrecognized arguments: --loud now (see nalr race --help)"),
        (("bench", "training", "--loud"), "nalr bench training: unrecognized arguments: --loud"),
        (("report",), "nalr report: the following arguments are required: FILE"),
        (("report", "run.csv", "--save", "run.txt"), "nalr report: argument --save: "),
        (("demo", "--jobs", "0"), "argument --jobs: must be a whole number of at least 1, got '0'"),
        (("demo", "--seed", "-1"), "argument --seed: must be a whole number of at least 0, got '-1'"),
        (("doctor", "--loud"), "unrecognized arguments: --loud"),
        (("warmup", "now"), "unrecognized arguments: now"),
        (("demo", "--seed", "x"), "argument --seed: must be a whole number of at least 0, got 'x'"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    out, err = capsys.readouterr()
    assert refusal.value.code == 2
    assert out == ""
    assert message in err and err.count("\n") == 1


def test_a_wrong_command_exits_with_2():
    result = nalr_command("fly")
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "demo"),
        (["--help"], "doctor"),
        (["--help"], "race"),
        (["--help"], "warmup"),
        (["demo", "--help"], "--interactive"),
        (["doctor", "--help"], "--json"),
        (["race", "--help"], "--ablate"),
        (["warmup", "--help"], "nalr warmup"),
    ],
)
def test_help_names_the_commands_and_their_options(capsys, arguments, expected):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert expected in capsys.readouterr().out


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    alone = capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["--help"])
    assert (alone.out, alone.err) == (capsys.readouterr().out, "")


@pytest.fixture
def saved(tmp_path):
    adaptive = nalr.NoiseAdaptiveLR(0.1)
    for _ in range(30):
        adaptive.update_policy(nalr.Moments.from_norms([1.2, 0.8], 0.9, dimension=10), loss=2.0)
    adaptive.history.to_csv(tmp_path / "run.csv")
    return tmp_path / "run.csv"


def test_report_prints_what_the_library_reports(saved, capsys):
    assert main(["report", str(saved)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{nalr.report(saved)}\n", "")
    assert main(["report", "--json", str(saved)]) == 0
    assert json.loads(capsys.readouterr().out) == nalr.report(saved).to_dict()


def test_report_draws_a_picture(saved, capsys):
    picture = saved.with_suffix(".png")
    assert main(["report", str(saved), "--save", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG") and capsys.readouterr().err == f"{picture}\n"


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n", "step,loss,lr\n1,2\n", "\x89PNG"])
def test_report_says_in_one_line_what_is_no_history(tmp_path, capsys, content):
    file = tmp_path / "run.csv"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    assert main(["report", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("nalr report: ") and err.count("\n") == 1 and "run.csv" in err


def test_a_start_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from nalr.cli import main\n"
        "try:\n"
        "    main(['race', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'numpy', 'numba', 'matplotlib', 'sklearn', 'torch', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr


def test_demo_is_run_with_the_options_given(monkeypatch):
    seen = []
    monkeypatch.setattr("nalr_bench.demo.main.run", lambda options: seen.append(options) or 7)
    assert main(["demo", "--quick", "--no-show", "--seed", "3", "--jobs", "2", "--save", "figures"]) == 7
    (options,) = seen
    assert (options.quick, options.no_show, options.seed, options.jobs) == (True, True, 3, 2)
    assert str(options.save) == "figures" and not options.interactive


@pytest.mark.parametrize("command", ["demo", "doctor", "race", "report", "warmup"])
def test_each_command_is_run_from_its_home_and_may_be_interrupted(monkeypatch, capsys, command):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{homes[command]}.run", interrupted)
    assert main([command, *["run.csv"] * (command == "report")]) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Interrupted.\n")
