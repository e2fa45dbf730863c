"""Imports point one way, and the command line starts fast."""

import ast
import subprocess
import sys

import pytest

from mcmi_core.paths import PROJECT

PACKAGE = PROJECT / "mcmi_core"
LAYERS = (
    {"errors", "paths", "__init__"},
    {"validation", "registry", "progress", "seeding", "statistics", "pairs", "reference"},
    {"files", "provenance", "device"},
    {"cmi", "metrics", "information", "losses", "models", "data"},
    {"criterion", "evaluation", "cam", "proposition"},
    {"objectives", "distillers", "measurements"},
    {"runs"},
    {"distillation"},
    {"engine"},
    {"train"},
    {"model_axis"},
    {"store"},
    {"teacher_cache"},
    {"trainer"},
    {"memory"},
    {"execute"},
    {"profiles", "plots", "class_plots", "notebooks", "comparison"},
    {"lab", "report"},
    {"claims"},
    {"cli"},
)
"""From the ground up; a module may import from its own layer and from those before it."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported(path) -> set[str]:
    """Parts of the package that a module imports, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mcmi_core"):
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("mcmi_core.")}
    return names & set(LEVEL)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_point_one_way(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert part in LEVEL, f"give {part} a layer"
    upwards = {name for name in imported(path) if LEVEL[name] > LEVEL[part]}
    assert not upwards, f"{part} imports from layers above it: {upwards}"


def test_importing_needs_no_plots_and_no_network():
    """Plots, notebooks and data files are for those who ask; `--help` does not wait for torch."""
    code = "import sys, mcmi_core.cli; print({'torch', 'pandas', 'papermill'} & set(sys.modules))"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "set()\n"
