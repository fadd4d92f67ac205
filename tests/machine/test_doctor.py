"""The doctor's findings, each problem with its remedy, and the exit status that scripts rely on."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numba
import pytest

from nalr.arrays import threads
from nalr.cli import main
from nalr.machine import bandwidth, doctor
from nalr.machine.diagnosis import Cache, Diagnosis, Problem
from nalr.machine.problems import problems_of
from tests.helpers import run_python

WELL = Diagnosis(
    versions={"nalr": "1", "Python": "3.11.7", "NumPy": "2.4.0", "Numba": "0.68.0", "torch": None},
    cpu="Some CPU",
    num_cpus=4,
    cpu_quota=None,
    num_threads=4,
    threads_reason="the CPUs this process may use",
    threading_layer=doctor.LAYER,
    environment={},
    cache=Cache("/cache/here", True, 30, 2_000_000, 20, 20),
    bandwidth={1: 20.0, 4: 50.0},
    problems=[],
)


def problems(**changes):
    return list(problems_of(replace(WELL, **changes)))


def test_where_all_is_well_no_problem_is_found():
    assert problems() == []
    assert WELL.text().endswith("No problems found.")


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"versions": {**WELL.versions, "NumPy": "1.23.5"}}, "NumPy 1.23.5 is too old", '"numpy>=1.24"'),
        (
            {"versions": {**WELL.versions, "Numba": "0.59.0rc1"}},
            "Numba 0.59.0rc1 is too old",
            '"numba>=0.60"',
        ),
        ({"versions": {**WELL.versions, "Numba": None}}, "Numba is not installed", '"numba>=0.60"'),
        ({"cache": Cache(None, False, 0, 0, 0, 20)}, "No directory can be written", "NUMBA_CACHE_DIR"),
        ({"cache": Cache("/full", False, 0, 0, 0, 20)}, "/full cannot be written", "NUMBA_CACHE_DIR"),
        ({"environment": {"NUMBA_CACHE_DIR": "/not"}}, "NUMBA_CACHE_DIR=/not cannot be", "can be written"),
        ({"environment": {"NUMBA_DISABLE_JIT": "1"}}, "NUMBA_DISABLE_JIT is set", "Unset it"),
        ({"num_threads": 1, "threads_reason": "OMP_NUM_THREADS"}, "because of OMP_NUM", "NALR_NUM_THREADS=4"),
        ({"num_threads": 9, "threads_reason": "NALR_NUM_THREADS"}, "9 threads for 4", "NALR_NUM_THREADS=4"),
        ({"cpu_quota": 1.5}, "limited to the time of 1.5 CPUs", "NALR_NUM_THREADS=2"),
        ({"bandwidth": {1: 20.0, 4: 10.0}}, "4 threads read memory more slowly", "NALR_NUM_THREADS=1"),
    ],
)
def test_each_problem_comes_with_its_remedy(changes, what, remedy):
    (problem,) = problems(**changes)
    assert what in problem.what and remedy in problem.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"num_cpus": 1, "num_threads": 1, "bandwidth": {1: 20.0}},
        {"cpu_quota": 1.0, "num_threads": 1, "bandwidth": {1: 20.0}},
        {"bandwidth": {1: 20.0, 4: 19.0}},
        {"bandwidth": {}},
        {"environment": {"NUMBA_CACHE_DIR": "/cache", "NUMBA_DISABLE_JIT": "0"}},
    ],
)
def test_ordinary_limits_are_no_problem(changes):
    assert problems(**changes) == []


def test_the_text_is_aligned_and_ends_with_the_problems():
    found = replace(WELL, environment={"OMP_NUM_THREADS": "4"}, problems=[Problem("It hurts.", "Rest.")])
    facts, problems = found.text().split("\n\n")
    column = facts.splitlines()[0].index("1")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in facts.splitlines())
    assert "torch            not installed" in facts
    assert problems == "1 problem:\n- It hurts.\n  Rest."


def test_a_diagnosis_is_json_and_back():
    assert json.loads(json.dumps(WELL.to_dict())) == WELL.to_dict()


@pytest.mark.parametrize(
    ("text", "quota"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("1 0", None), ("strange", None)]
)
def test_the_quota_of_the_control_group_is_read(tmp_path, monkeypatch, text, quota):
    monkeypatch.setattr(doctor, "CPU_QUOTA", tmp_path / "cpu.max")
    assert doctor._cpu_quota() is None  # no such file
    (tmp_path / "cpu.max").write_text(text)
    assert doctor._cpu_quota() == quota


@pytest.fixture
def small(monkeypatch):
    """Read a megabyte only."""
    monkeypatch.setattr(doctor, "READ", 1 << 20)


def test_the_machine_at_hand_is_diagnosed(small):
    found = doctor.diagnose()
    assert found.versions["Numba"] == numba.__version__
    assert found.num_cpus >= 1 and found.cpu
    assert set(found.bandwidth) == {1, found.num_threads}
    assert min(found.bandwidth.values()) > 0.0
    assert found.cache.kernels > 40


def test_a_refused_variable_is_a_problem_not_an_error(small, monkeypatch):
    monkeypatch.setenv(threads.OWN_VARIABLE, "all")
    monkeypatch.setattr(threads, "_default", None)
    monkeypatch.setattr(threads, "_chosen", None)
    first = doctor.diagnose().problems[0]
    assert (
        "got 'all'" in first.what
        and first.remedy == "Set NALR_NUM_THREADS to a number of threads, or unset it."
    )


def test_a_numba_that_cannot_be_loaded_is_a_problem_not_an_error(monkeypatch):
    def refuse():
        raise ImportError("Numba needs NumPy 2.5 or less. Got NumPy 3.0.")

    monkeypatch.setattr("nalr.machine.warmup.compiled_functions", refuse)
    found = doctor.diagnose()
    assert "Numba needs NumPy 2.5 or less" in found.problems[0].what
    assert found.bandwidth == {} and found.cache.directory is None


def command(*arguments, **variables):
    return run_python("-m", "nalr", "doctor", *arguments, env={**os.environ, **variables})


@pytest.mark.slow
def test_json_is_all_that_is_printed_and_problems_are_the_exit_status(tmp_path):
    (tmp_path / "file").touch()
    result = command("--json", NUMBA_CACHE_DIR=str(tmp_path / "file" / "below"))
    found = json.loads(result.stdout)
    assert result.returncode == 1 and result.stderr == ""
    assert any("NUMBA_CACHE_DIR" in problem["what"] for problem in found["problems"])
    assert found["environment"]["NUMBA_CACHE_DIR"] == str(tmp_path / "file" / "below")


@pytest.mark.slow
def test_a_disabled_compiler_is_reported():
    result = command(NUMBA_DISABLE_JIT="1")
    assert result.returncode == 1 and "NUMBA_DISABLE_JIT is set" in result.stdout


@pytest.mark.parametrize(("found", "status"), [(WELL, 0), (replace(WELL, problems=[Problem("a", "b")]), 1)])
def test_the_exit_status_says_whether_there_are_problems(monkeypatch, capsys, found, status):
    monkeypatch.setattr(doctor, "diagnose", lambda: found)
    assert main(["doctor"]) == status
    assert capsys.readouterr().out.startswith("nalr")


@pytest.mark.parametrize(("arguments", "match"), [((3, 1), "`num_bytes`"), ((400, 0), "`num_threads`")])
def test_a_bandwidth_of_nothing_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        bandwidth.read_bandwidth(*arguments)


def test_more_threads_than_are_in_use_are_refused():
    with pytest.raises(ValueError, match="`num_threads` must be at most"):
        bandwidth.read_bandwidth(400, threads.get_num_threads() + 1)
