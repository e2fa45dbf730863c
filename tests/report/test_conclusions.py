"""Every decimal in a notebook's conclusion stands in its outputs, or on the scoreboard.

So that a conclusion is read again when evidence moves. What it says of the number, this cannot see.
"""

import re

import nbformat
import pytest

from mcmi_core.base.paths import PROJECT
from mcmi_core.report.notebooks import list_notebooks, notebook_path

HEADING = "## What we learned"
NUMBER = re.compile(r"[+-]?\d+\.\d+")
SCOREBOARD = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")


def shown(notebook: nbformat.NotebookNode) -> str:
    """All text that its cells have put out, and the scoreboard with the other tiers."""
    texts = [SCOREBOARD]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *output.get("data", {}).values()]
    return "\n".join(text for text in texts if isinstance(text, str)).replace("−", "-")


CONCLUDED = [
    name
    for name in list_notebooks()
    if any(HEADING in cell.source for cell in nbformat.read(notebook_path(name), 4).cells)
]


def test_all_notebooks_on_a_claim_conclude():
    assert set(list_notebooks()) - set(CONCLUDED) <= {"14_bring_your_own_teacher"}


@pytest.mark.parametrize("name", CONCLUDED)
def test_every_decimal_of_a_conclusion_is_shown(name):
    notebook = nbformat.read(notebook_path(name), 4)
    [conclusion] = [cell.source for cell in notebook.cells if HEADING in cell.source]
    stated = NUMBER.findall(conclusion.replace("−", "-"))
    known = set(NUMBER.findall(shown(notebook)))
    known |= {number.lstrip("+") for number in known}
    assert [number for number in stated if number not in known] == []
