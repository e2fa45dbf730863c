"""Notebooks in JupyterLab, as a reader runs them: Run All Cells, look, move the slider."""

import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from open_notebook import SECONDS_TO_DRAW, OpenNotebook

from mcmi_core.base.paths import PROJECT

EXPECTED = {"00_what_is_cmi", "14_bring_your_own_teacher"}
"""Notebooks that must be among those opened; the first replays records, the last trains."""

OPENED = sorted(
    path.stem
    for pattern in ("00_*.ipynb", "14_*.ipynb")
    for path in (PROJECT / "notebooks").glob(pattern)
)
WITH_SLIDER = [name for name in OPENED if name.startswith("00_what_is_cmi")]

KERNEL = """
import os, sys, torch
print(sys.executable, torch.get_num_threads(), torch.cuda.is_available())
"""
SLIDER = """
import ipywidgets
import matplotlib.pyplot as plt

def draw(lam):
    plt.plot([0, 1], [0, lam])
    plt.show()

ipywidgets.interact(draw, lam=(0.0, 1.0, 0.1));
"""
SMALL = new_notebook(
    cells=[new_code_cell(KERNEL), new_code_cell(SLIDER)],
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
)


@pytest.fixture
def open_notebook(jupyterlab, page):
    """Open a notebook without stored outputs: what is seen then was made here."""

    def opened(name: str, notebook: nbformat.NotebookNode) -> OpenNotebook:
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in code:
            cell.update(outputs=[], execution_count=None)
        nbformat.write(notebook, jupyterlab.notebooks / f"{name}.ipynb")
        return OpenNotebook(page, jupyterlab.address(f"{name}.ipynb"), len(code))

    return opened


def stored(name: str) -> nbformat.NotebookNode:
    return nbformat.read(PROJECT / "notebooks" / f"{name}.ipynb", as_version=4)


def stored_counts(name: str) -> tuple[int, int]:
    """How many pictures and tables a notebook's stored outputs hold."""
    outputs = [output for cell in stored(name).cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    pictures = sum("image/png" in kinds for kinds in data)
    return pictures, sum("<table" in kinds.get("text/html", "") for kinds in data)


def test_the_notebooks_to_open_are_there():
    assert set(OPENED) >= EXPECTED
    assert {name for name in EXPECTED if sum(stored_counts(name)) == 0} == set()


@pytest.mark.parametrize("name", OPENED)
def test_a_notebook_runs_and_shows_its_pictures_and_tables(open_notebook, name):
    notebook = open_notebook(name, stored(name))
    notebook.run_all()
    pictures, tables = stored_counts(name)

    def shown() -> bool:
        return len(notebook.pictures()) >= pictures and notebook.tables() >= tables

    notebook.wait_until(shown, SECONDS_TO_DRAW, f"{pictures} pictures and {tables} tables")
    if name in WITH_SLIDER:
        moves_the_picture(notebook)


def test_the_kernel_is_this_interpreter_and_a_slider_moves_a_picture(open_notebook):
    notebook = open_notebook("small", SMALL)
    notebook.run_all()
    assert notebook.outputs("application/vnd.jupyter.stdout") == [f"{sys.executable} 1 False\n"]
    moves_the_picture(notebook)


def moves_the_picture(notebook: OpenNotebook) -> None:
    """There and back: the picture depends on the slider, and on nothing else."""
    notebook.wait_until(lambda: notebook.pictures() != [], SECONDS_TO_DRAW, "a picture")
    before = notebook.pictures()
    notebook.move_slider("ArrowRight")
    notebook.move_slider("ArrowLeft")
    notebook.wait_until(
        lambda: notebook.pictures() == before, SECONDS_TO_DRAW, "the first picture again"
    )
