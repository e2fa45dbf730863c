"""Every decimal in a notebook's answer and conclusion stands in its outputs, or on the scoreboard.

So that a conclusion is read again when evidence moves. What it says of the number, this cannot see.
"""

import re

import nbformat
import pytest

from mcmi_core.base.paths import PROJECT
from mcmi_core.report.notebooks import list_notebooks, notebook_path

HEADING = "## What we learned"
ANSWERS = ("## The answer", "**Answer.**", "**In short.**")
"""Of which one stands at the beginning."""
MORE = "**The paper's other claims**"
"""What is said below a conclusion that would be too long a cell."""
NUMBER = re.compile(r"[+-]?\d+\.\d+")
SCOREBOARD = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")


def shown(notebook: nbformat.NotebookNode) -> str:
    """All text that its cells have put out, and the scoreboard with the other tiers."""
    texts = [SCOREBOARD]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *output.get("data", {}).values()]
    return "\n".join(text for text in texts if isinstance(text, str)).replace("−", "-")


def cells_with(name: str, *marks: str) -> list[str]:
    """Text of the cells that contain one of the marks."""
    cells = nbformat.read(notebook_path(name), 4).cells
    return [cell.source for cell in cells if any(mark in cell.source for mark in marks)]


CONCLUDED = [name for name in list_notebooks() if cells_with(name, HEADING)]


def test_all_notebooks_on_a_claim_conclude():
    assert set(list_notebooks()) - set(CONCLUDED) <= {"14_bring_your_own_teacher"}


def test_a_conclusion_is_one_cell():
    for name in CONCLUDED:
        assert len(cells_with(name, HEADING)) == 1, name


@pytest.mark.parametrize("name", CONCLUDED)
def test_every_decimal_of_an_answer_and_a_conclusion_is_shown(name):
    texts = "\n".join(cells_with(name, HEADING, MORE, *ANSWERS))
    known = set(NUMBER.findall(shown(nbformat.read(notebook_path(name), 4))))
    known |= {number.lstrip("+") for number in known}
    stated = NUMBER.findall(texts.replace("−", "-"))
    assert [number for number in stated if number not in known] == []
