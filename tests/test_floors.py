"""Imports go down only, and the package starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nalr"

FLOORS = {
    "_checks": 0,
    "kernels": 1,
    "intervals": 0,
    "trend": 2,
    "butterworth": 0,
    "threads": 1,
    "landscapes": 1,
    "inputs": 1,
    "batch": 2,
    "moments": 3,
    "columns": 3,
    "probes": 3,
    "curvature": 5,
    "pairs": 4,
    "rows": 4,
    "path": 4,
    "jackknife": 5,
    "noise_inputs": 5,
    "smoothing": 5,
    "noise": 6,
    "policies": 7,
    "history": 8,
    "summary": 9,
    "controller": 10,
    "reporting": 10,
    "torch": 11,
    "blocks": 0,
    "efficiency": 0,
    "long_run": 1,
    "within": 2,
    "averages": 3,
    "averaging": 2,
    "loss_reading": 1,
    "noise_reading": 4,
    "bandwidth": 2,
    "warmup": 11,
    "doctor": 12,
    "plotting": 11,
    "bench": 12,
    "demo": 13,
    "cli": 14,
    "__main__": 15,
    "__init__": 16,
    "core": 16,
    "utils": 16,
}
"""The ground floor is 0. A part may import parts of lower floors, and its own modules."""

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "__init__"


def imported_parts(tree: ast.AST) -> set[str]:
    parts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            parts |= {
                part_of(a.name) for a in node.names if a.name.split(".")[0] == "nalr" and a.name != "nalr"
            }
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nalr":
            if node.module == "nalr":
                parts |= {a.name for a in node.names if a.name in FLOORS}
            else:
                parts.add(part_of(node.module))
    return parts


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_go_down_only(file):
    relative = file.relative_to(PACKAGE).with_suffix("")
    own = relative.parts[0]
    assert own in FLOORS, f"give `{own}` a floor"
    for part in imported_parts(ast.parse(file.read_text())):
        if part != own:
            assert FLOORS[part] < FLOORS[own], f"{relative} (floor {FLOORS[own]}) imports {part}"


@pytest.mark.parametrize("library", ["torch", "matplotlib", "sklearn", "tqdm"])
def test_foreign_libraries_stay_where_they_belong(library):
    homes = {
        "matplotlib": {"plotting", "demo"},
        "sklearn": {"bench"},
        "tqdm": {"bench", "demo", "warmup"},
        "torch": {"bench", "torch"},
    }
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            if any(name.split(".")[0] == library for name in names):
                assert file.relative_to(PACKAGE).parts[0].removesuffix(".py") in homes[library], file


HEAVY = ("numba", "torch", "matplotlib", "scipy", "sklearn")


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
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


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
