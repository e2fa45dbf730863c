"""Imports point one way and never in a circle, and the command line starts fast."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from plausible import save_plausible

from mcmi_core.base.paths import PROJECT
from mcmi_core.profiles import get_profile

PACKAGE = PROJECT / "mcmi_core"
FLOORS = (
    {"base"},
    {"components"},
    {"cmi", "output_sums", "metrics", "criterion", "objectives"}
    | {"losses", "models", "data", "distillers"},
    {"measures", "training"},
    {"runs"},
    {"experiments"},
    {"profiles", "report"},
    {"sprint"},
    {"cli", "endings"},
)
"""From the ground up; a part may import from its own floor and from those below it."""

FLOOR = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
MODULES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imports(name: str) -> set[str]:
    """Modules of the package that a module imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & set(MODULES)) - {name, "mcmi_core"}


def part(name: str) -> str:
    return name.split(".")[1]


@pytest.mark.parametrize("name", [name for name in MODULES if name != "mcmi_core"])
def test_imports_point_down(name):
    assert part(name) in FLOOR, f"give {part(name)} a floor"
    upwards = {other for other in imports(name) if FLOOR[part(other)] > FLOOR[part(name)]}
    assert not upwards, f"{name} imports from floors above it: {upwards}"


def test_no_module_imports_itself_through_others():
    TopologicalSorter({name: imports(name) for name in MODULES}).prepare()  # CycleError names it


SLOW = {"torch", "torchvision", "torchmetrics", "safetensors", "sklearn", "papermill", "pandas"}
"""Libraries that take seconds to import."""


def imported_by(code: str) -> set[str]:
    """Which of the slow libraries a program has imported."""
    code += f"\nimport sys; print(*{SLOW} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return set(output.stdout.splitlines()[-1].split())


def test_help_waits_for_no_library():
    assert imported_by("import mcmi_core.cli") == set()


REPLAY = """
import json, re
from pathlib import Path
import matplotlib
from matplotlib.figure import Figure
matplotlib.use("agg")
Figure.savefig = lambda *arguments, **settings: None  # rendering takes longest, and is matplotlib's
for path in sorted(Path("notebooks").glob("*.ipynb")):
    if not path.name.startswith(("00_", "14_")):  # one compares with torch, one trains
        names = {}
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                source = "".join(cell["source"])
                exec(re.sub('^profile = .*', 'profile = "smoke"', source, flags=re.M), names)
"""


def test_a_replay_needs_no_torch(tmp_path, monkeypatch):
    save_plausible(get_profile("smoke"), tmp_path / "records")
    monkeypatch.setenv("MCMI_RECORDS", str(tmp_path / "records"))
    assert imported_by(REPLAY) == {"pandas"}
