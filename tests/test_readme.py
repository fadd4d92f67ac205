"""The README's examples run, and print what it says they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ("torch", "noise", "curvature", "policies")
PAGES = README + "\n".join((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in DOCS)
EXAMPLES = re.findall(r"```python\n(.*?)```\n+(?:```text\n(.*?)```)?", PAGES, flags=re.DOTALL)


def test_the_readme_has_examples_with_outputs():
    assert len(EXAMPLES) >= 6
    assert sum(bool(output) for _, output in EXAMPLES) >= 5


@pytest.mark.parametrize("index", range(len(EXAMPLES)))
def test_example_prints_what_the_readme_says(index, tmp_path):
    code, output = EXAMPLES[index]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg", "PYTHONUTF8": "1"},
    )
    assert result.returncode == 0, result.stderr
    if output:
        assert result.stdout.strip() == output.strip()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_file_that_the_readme_names_is_there(link):
    assert (ROOT / link).exists()


def test_the_two_commands_for_a_fresh_machine_are_marked_for_ci():
    assert "ci:test-command" in README
    assert re.search(r"\$ python3 -m venv \.venv && .*demo\.py", README)


@pytest.mark.parametrize("name", ["LossSmoother", "NoiseEstimator", "NoiseAdaptiveLR"])
def test_names_of_the_description_live_where_it_says(name):
    import nalr
    import nalr.core

    assert getattr(nalr.core, name) is getattr(nalr, name)
    assert f"{name}" in README
