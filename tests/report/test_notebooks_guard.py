"""What a committed notebook must be; `mcmi_core.report.notebooks.store_outputs` makes it so.

nbval compares nothing on a cell that has no execution count, so a stripped notebook would pass
unseen: stored outputs are guarded here.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mcmi_core.base import paths
from mcmi_core.report import notebooks

LONGEST_CELL = {"code": 15, "markdown": 25}
MOST_CODE = 40
"""Lines in all of a notebook's cells, blank ones included."""

ABSOLUTE_PATH = re.compile(r"(?<![\w.~])(/(home|work|root|tmp|Users)/|[A-Z]:\\)")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
WARNING = re.compile(r"\b[A-Za-z]*Warning\b")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def output_texts(notebook: NotebookNode) -> Iterator[str]:
    """What a reader can read; base64 of an image could contain anything."""
    for output in outputs(notebook):
        yield output.get("text", "")
        for kind, content in output.get("data", {}).items():
            if kind.startswith("text/") or kind == "image/svg+xml":
                yield content


def counts_are_stored(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}, not 1, 2, 3, ..."


def outputs_are_stored(notebook):
    if not outputs(notebook):
        yield "no stored output"


def outputs_are_clean(notebook):
    for output in outputs(notebook):
        if output.output_type == "error":
            yield f"stored error {output.ename}"
        if output.get("name") == "stderr":
            yield f"stored stderr: {output.text[:60]!r}"
    for text in output_texts(notebook):
        if found := WARNING.search(text):
            yield f"stored warning: {text[found.start() :][:60]!r}"
        if found := ADDRESS.search(text):
            yield f"stored address: {text[: found.end()][-60:]!r}"


def paths_are_relative(notebook):
    for text in [*(cell.source for cell in notebook.cells), *output_texts(notebook)]:
        if found := ABSOLUTE_PATH.search(text):
            yield f"absolute path: {text[found.start() :][:60]!r}"


def cells_are_plain(notebook):
    for cell in code_cells(notebook):
        try:
            nodes = list(ast.walk(ast.parse(cell.source)))
        except SyntaxError:
            yield f"not plain Python: {cell.source[:60]!r}"
            continue
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield f"defines {node.name}; it belongs in mcmi_core"


def cells_are_short(notebook):
    for cell in notebook.cells:
        length, longest = len(cell.source.splitlines()), LONGEST_CELL[cell.cell_type]
        if length > longest:
            kind = cell.cell_type
            yield f"a {kind} cell of {length} lines, more than {longest}: {cell.source[:60]!r}"


def code_is_short(notebook):
    """An analysis is an experiment's, where it is tested."""
    lines = sum(len(cell.source.splitlines()) for cell in code_cells(notebook))
    if lines > MOST_CODE:
        yield f"{lines} lines of code, more than {MOST_CODE}"


def parameters_are_literals(notebook):
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        yield f"{len(cells)} cells tagged 'parameters', not one"
    for cell in cells:
        for node in ast.parse(cell.source).body:
            try:
                ok = isinstance(node, ast.Assign) and node.lineno == node.end_lineno
                ast.literal_eval(node.value)
            except (AttributeError, ValueError):
                ok = False
            if not ok:
                yield f"parameter that is no literal on one line: {ast.unparse(node)!r}"


def replays(notebook):
    sources = [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    if not any(re.search("^train = False", source, re.M) for source in sources):
        yield "the parameters do not say `train = False`: whoever opens it would train"


def begins_with_a_title(notebook):
    if not (notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source[:2] == "# "):
        yield "the first cell is no markdown cell with a '# Title'"


def metadata_is_minimal(notebook):
    if notebook.metadata != notebooks.KERNEL:
        yield f"metadata {notebook.metadata} instead of {notebooks.KERNEL}"


RULES = [
    counts_are_stored,
    outputs_are_stored,
    outputs_are_clean,
    paths_are_relative,
    cells_are_plain,
    cells_are_short,
    code_is_short,
    parameters_are_literals,
    replays,
    begins_with_a_title,
    metadata_is_minimal,
]


def problems(notebook: NotebookNode) -> list[str]:
    """Every rule that the notebook breaks, in words."""
    return [problem for rule in RULES for problem in rule(notebook)]


NOTEBOOKS = sorted((paths.PROJECT / "notebooks").glob("**/*.ipynb"))


@pytest.mark.skipif(
    not (paths.PROJECT / "records" / "cpu").exists(),
    reason="no evidence yet: make evidence PROFILE=cpu",
)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_committed_notebook(path: Path):
    assert path.parent == paths.PROJECT / "notebooks"
    assert re.fullmatch(r"\d\d[a-z]?_[a-z0-9_]+\.ipynb", path.name)
    assert problems(nbformat.read(path, as_version=4)) == [], "repair it, then: make evidence"


def good_notebook() -> NotebookNode:
    stored = new_output("stream", name="stdout", text="see store/ and https://a.org/home/ \n")
    shown = new_output("display_data", data={"image/png": "iVBO/tmp/UserWarning"})
    return new_notebook(
        metadata=notebooks.KERNEL,
        cells=[
            new_markdown_cell("# Title"),
            new_code_cell(
                'profile = "smoke"\ntrain = False\nrates = [-0.1, 2]',
                execution_count=1,
                metadata={"tags": ["parameters"]},
            ),
            new_code_cell("print('Accuracy:\\n')", execution_count=2, outputs=[stored, shown]),
        ],
    )


def test_a_good_notebook_has_no_problem():
    assert problems(good_notebook()) == []


def printing(text: str, name: str = "stdout") -> Callable[[NotebookNode], None]:
    output = new_output("stream", name=name, text=text)
    return lambda notebook: notebook.cells[2].outputs.append(output)


def showing(kind: str, content: str) -> Callable[[NotebookNode], None]:
    output = new_output("display_data", data={kind: content})
    return lambda notebook: notebook.cells[2].outputs.append(output)


def with_source(number: int, source: str) -> Callable[[NotebookNode], None]:
    return lambda notebook: notebook.cells[number].update(source=source)


def raising(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs.append(new_output("error", ename="KeyError", evalue="", traceback=[]))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda n: n.cells[2].update(execution_count=None), "execution counts are [1, None]"),
        (lambda n: n.cells[2].update(execution_count=3), "execution counts are [1, 3]"),
        (lambda n: n.cells[2].update(outputs=[]), "no stored output"),
        (raising, "stored error KeyError"),
        (printing("50%|###", name="stderr"), "stored stderr: '50%|###'"),
        (printing("x.py:3: FutureWarning: soon"), "stored warning: 'FutureWarning: soon'"),
        (showing("text/html", "<b>Warning</b>"), "stored warning: 'Warning</b>'"),
        (showing("text/plain", "<Legend at 0x7f>"), "stored address: '<Legend at 0x7f'"),
        (printing("saved /tmp/a.png"), "absolute path: '/tmp/a.png"),
        (showing("text/plain", "in /home/me"), "absolute path: '/home/me'"),
        (with_source(2, "open('/work/x')"), "absolute path: \"/work/x')"),
        (with_source(0, "# In C:\\Users"), "absolute path: 'C:"),
        (with_source(2, "if True:\n    def f(): pass"), "defines f"),
        (with_source(2, "class A: pass"), "defines A"),
        (with_source(2, "%matplotlib inline"), "not plain Python"),
        (with_source(2, "1\n" * 16), "a code cell of 16 lines"),
        (with_source(0, "# T" + "\n" * 26), "a markdown cell of 26 lines"),
        (with_source(2, "1\n" * 38), "41 lines of code, more than 40"),
        (lambda n: n.cells.extend(new_code_cell("1\n" * 13) for _ in range(3)), "43 lines of code"),
        (lambda n: n.cells[1].update(metadata={}), "0 cells tagged 'parameters'"),
        (lambda n: n.cells[2].metadata.update(tags=["parameters"]), "2 cells tagged"),
        (with_source(1, "rate = 2 * 3"), "parameter that is no literal on one line"),
        (with_source(1, "rates = [\n    1,\n]"), "parameter that is no literal on one line"),
        (with_source(1, "import os"), "parameter that is no literal on one line: 'import os'"),
        (with_source(1, "rate: int = 2"), "parameter that is no literal on one line"),
        (with_source(1, "train = True"), "the parameters do not say `train = False`"),
        (with_source(0, "Title"), "the first cell is no markdown cell"),
        (lambda n: n.cells.pop(0), "the first cell is no markdown cell"),
        (lambda n: n.metadata.language_info.update(version="3.11.7"), "metadata "),
    ],
)
def test_each_rule_can_fail(spoil, problem):
    notebook = good_notebook()
    spoil(notebook)
    assert any(found.startswith(problem) for found in problems(notebook)), problems(notebook)
