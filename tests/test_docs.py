"""The documentation: examples run, links lead somewhere, every public name has an entry."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from types import ModuleType

import pytest

from tests.helpers import run_python
from tests.pages import DOCS, EXAMPLE, ROOT, links, unsourced_numbers

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
EXAMPLES = [
    pytest.param(code, output, id=f"{page.relative_to(ROOT)}-{index}")
    for page in PAGES
    for index, (code, output) in enumerate(EXAMPLE.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_examples_print_what_the_page_shows(code, output, tmp_path):
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONUTF8": "1"}
    result = run_python("-W", "error", "-c", code, cwd=tmp_path, env=environment, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    assert not output or result.stdout.strip() == output.strip()


def test_every_local_link_leads_to_a_file():
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in links(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("page", "title"), [("theory", "Checked against"), ("policy", "The value of each part")]
)
def test_numbers_taken_from_a_report_are_still_there(page, title):
    sections = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split("\n## ")
    (section,) = (text for text in sections if text.startswith(title))
    assert unsourced_numbers(section, ROOT / "docs") == []


def test_the_guide_names_every_reason():
    from nalr.policies import Reason

    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in guide] == []


def resolved(path: str) -> object:
    """Return what a dotted path names: a module, or an attribute of one."""
    parts = path.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for name in parts[split:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


def public_names(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or vars(module)
    return [name for name in names if name == "__version__" or not name.startswith("_")]


@pytest.mark.parametrize(
    "package",
    [
        "nalr",
        "nalr.core",
        "nalr.curvature",
        "nalr.landscapes",
        "nalr.plotting",
        "nalr.policies",
        "nalr.reporting",
        "nalr.torch",
        "nalr.utils",
    ],
)
def test_every_public_name_has_an_entry_in_the_reference(package):
    """Names that are the same object, or of the same path, share an entry."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    entries = re.findall(r"^::: (\S+)$", pages, flags=re.MULTILINE)
    documented = [resolved(entry) for entry in entries]
    module = importlib.import_module(package)
    missing = [
        name
        for name in public_names(module)
        if not isinstance(value := getattr(module, name), ModuleType)
        and f"{package}.{name}" not in entries
        and not any(value is entry for entry in documented)
    ]
    assert missing == []


def test_the_table_of_constants_has_every_setting_of_the_policy():
    from dataclasses import fields

    from nalr.policies import NoiseAdaptiveSettings

    spec = importlib.util.spec_from_file_location("hook", ROOT / "docs" / "hooks" / "settings_table.py")
    assert spec is not None and spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    shown = hook.on_page_markdown((ROOT / "docs" / "policy.md").read_text(encoding="utf-8"))
    assert hook.MARKER not in shown
    assert [field.name for field in fields(NoiseAdaptiveSettings) if f"| `{field.name}` |" not in shown] == []
