"""The README is short, and its numbers are those of the reports."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT, cells, rows_of, tables, unsourced_numbers

PATH = ROOT / "README.md"
README = PATH.read_text(encoding="utf-8")
RACE = (ROOT / "docs" / "reports" / "race.md").read_text(encoding="utf-8")
SCORES = [table for table in tables(RACE) if {"all", "held-out", "diverged"} <= set(table[0])]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150
    assert len(README.split()) <= 1000


def test_the_commands_for_a_fresh_machine_are_there():
    """`.ci/run` reads the line after the marker."""
    marked = re.findall(r"ci:test-command -->\n+```console\n\$ (.*)\n```", README)
    assert len(marked) == 1
    assert marked[0].endswith("-m pytest")
    assert re.search(r"\$ python3 -m venv \.venv && .*\.\[demo\].*demo\.py", README)


def test_the_race_table_is_that_of_the_report():
    (shown,) = (table for table in tables(README) if "held-out" in table[0])
    report = {row["method"]: row for table in SCORES for row in rows_of(table)}
    assert 0 < len(shown) - 1 <= 6
    differing = [
        f"{row['method']}, {column}: {cell} here, {report.get(row['method'], {}).get(column)} in the report"
        for row in rows_of(shown)
        for column, cell in row.items()
        if report.get(row["method"], {}).get(column) != cell
    ]
    assert differing == []


def test_the_race_table_has_the_best_other_method():
    """Of each optimizer that it shows: by the held-out score, schedules that need tuning aside."""
    (shown,) = (table for table in tables(README) if "held-out" in table[0])
    names = {row["method"] for row in rows_of(shown)}
    for table in SCORES:
        rows = [row for row in rows_of(table) if not row["method"].startswith("nalr")]
        if names & {row["method"] for row in rows_of(table)}:
            assert min(rows, key=lambda row: float(row["held-out"].split()[0]))["method"] in names


@pytest.mark.parametrize("section", README.split("\n## "), ids=lambda section: section.splitlines()[0])
def test_every_number_comes_from_a_report_that_its_section_links(section):
    python = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert python is not None
    assert set(unsourced_numbers(section, ROOT)) <= {python[1]}


def test_a_number_without_a_report_is_found():
    assert unsourced_numbers(
        "See [race](docs/reports/race-first.md): 33 problems, 34.5 times, −1.67.", ROOT
    ) == ["34.5"]
    assert unsourced_numbers("A page without reports, [start](docs/start.md): 33 problems.", ROOT) == ["33"]


@pytest.mark.parametrize("name", ["LossSmoother", "NoiseEstimator", "NoiseAdaptiveLR"])
def test_names_of_the_description_can_be_imported_from_core(name):
    import nalr
    import nalr.core

    assert getattr(nalr.core, name) is getattr(nalr, name)


def test_cells_are_read_as_written():
    assert cells("| a \\| b | c |") == ["a \\| b", "c"]
