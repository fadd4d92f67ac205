"""Imports go down only, and the package starts light."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.helpers import run_python

TOP = Path(__file__).parent.parent
ROOTS = {"nalr": TOP / "nalr", "nalr_bench": TOP / "benchmarks" / "nalr_bench"}

PICTURE = """
_checks _state statistics
kernels landscapes
arrays loss
moments
noise curvature policies
reporting
_saving controller plotting
torch machine
nalr_bench
cli
__main__ __init__ core utils
"""
"""The floors, the ground floor first. A part imports parts of lower floors, and its own modules; of one
floor, only parts to the left. `__init__` and `core` hand on names, so nothing below may ask for theirs."""

FLOORS = {
    part: (floor, place)
    for floor, parts in enumerate(PICTURE.strip().splitlines())
    for place, part in enumerate(parts.split())
}
FILES = [file for root in ROOTS.values() for file in sorted(root.rglob("*.py"))]


def package_of(file: Path) -> str:
    return next(name for name, root in ROOTS.items() if file.is_relative_to(root))


def name_of(file: Path) -> str:
    package = package_of(file)
    pieces = file.relative_to(ROOTS[package]).with_suffix("").parts
    return ".".join((package, *pieces)).removesuffix(".__init__")


def own_part(file: Path) -> str:
    package = package_of(file)
    pieces = file.relative_to(ROOTS[package]).with_suffix("").parts
    return package if package == "nalr_bench" else pieces[0]


MODULES = {name_of(file): file for file in FILES}


def part_of(module: str) -> str | None:
    package, *pieces = module.split(".")
    if package != "nalr":
        return package if package in ROOTS else None
    return pieces[0] if pieces else "__init__"


@cache
def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, names of modules asked of a package among them."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            asked = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= (asked & set(MODULES)) or {node.module}
    return modules


def test_every_import_goes_down():
    unknown = {own_part(file) for file in FILES} - set(FLOORS)
    assert not unknown, "give these parts a floor"
    sinners = [
        f"{file.relative_to(TOP)} imports {part}"
        for file in FILES
        for part in sorted({part_of(module) for module in imported(file)} - {None, own_part(file)})
        if part != "__init__" and not FLOORS[part] < FLOORS[own_part(file)]
    ]
    assert sinners == []


def test_only_the_command_line_knows_the_laboratory():
    knows = {own_part(file) for file in FILES if any(m.startswith("nalr_bench") for m in imported(file))}
    assert knows == {"cli", "nalr_bench"}


def test_modules_form_no_circle():
    arrows = {name: imported(file) & set(MODULES) - {"nalr", name} for name, file in MODULES.items()}
    while leaves := {name for name, targets in arrows.items() if not targets & set(arrows)}:
        arrows = {name: targets for name, targets in arrows.items() if name not in leaves}
    assert sorted(arrows) == []


@pytest.mark.parametrize("library", ["torch", "matplotlib", "sklearn", "tqdm"])
def test_foreign_libraries_stay_where_they_belong(library):
    homes = {
        "matplotlib": {"plotting", "nalr_bench"},
        "sklearn": {"nalr_bench"},
        "tqdm": {"nalr_bench", "machine"},
        "torch": {"nalr_bench", "torch"},
    }
    users = {own_part(file) for file in FILES if any(m.split(".")[0] == library for m in imported(file))}
    assert users <= homes[library]


def test_files_stay_small():
    large = {str(file.relative_to(TOP)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: lines for name, lines in large.items() if lines > 350} == {}
    assert len(list(ROOTS["nalr"].glob("*.py"))) <= 10


HEAVY = ("numba", "torch", "matplotlib", "scipy", "sklearn")


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "import nalr",
        "from nalr import NoiseEstimator, LossSmoother, NoiseAdaptiveLR",
        "import nalr.core, nalr.utils",
        "from nalr import NoiseAdaptiveLR; NoiseAdaptiveLR(base_lr=0.1)",
    ],
)
def test_importing_loads_nothing_heavy(statement):
    script = f"{statement}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    result = run_python("-c", script)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_every_public_name_can_be_had_and_unknown_ones_are_refused():
    import nalr
    import nalr.core
    import nalr.utils

    for module in (nalr, nalr.core, nalr.utils):
        for name in module.__all__:
            assert getattr(module, name) is not None
    assert set(nalr.__all__) <= set(dir(nalr))
    with pytest.raises(AttributeError, match="module 'nalr' has no attribute 'nonsense'"):
        _ = nalr.nonsense
    with pytest.raises(AttributeError, match="module 'nalr.utils' has no attribute 'nonsense'"):
        _ = nalr.utils.nonsense
