"""The command line: what it prints, and the exit status that scripts rely on."""

from __future__ import annotations

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
        ((), "the following arguments are required: command"),
        (("fly",), "invalid choice: 'fly'"),
        (("--loud",), "the following arguments are required: command"),
        (("demo", "--loud"), "unrecognized arguments: --loud"),
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


@pytest.mark.parametrize("command", ["demo", "doctor", "race", "warmup"])
def test_each_command_is_run_from_its_home_and_may_be_interrupted(monkeypatch, capsys, command):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{homes[command]}.run", interrupted)
    assert main([command]) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Interrupted.\n")
