"""Executing notebooks: each way to fail is a failure, and a refreshed notebook is reproducible."""

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mcmi_core.base import paths
from mcmi_core.base.errors import OutOfTime
from mcmi_core.report import notebooks
from mcmi_core.report.notebooks import NotebookFailed

PARAMETERS = 'profile = "smoke"  # Größe\ntrain = False\nrates = [0.1, 0.2]'


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(paths, "PROJECT", tmp_path)
    return tmp_path


def write(project: Path, name: str, *sources: str) -> Path:
    """A notebook with a title, the parameters cell and the given code cells."""
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in sources]
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), *cells])
    path = project / "notebooks" / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def execute(project: Path, name: str, **parameters) -> Path:
    return notebooks.execute_notebook(name, project / "out", parameters)


def printed(path: Path) -> str:
    outputs = [o for c in nbformat.read(path, 4).cells for o in c.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def test_names_are_listed_in_order_and_checked(project):
    write(project, "02_later")
    write(project, "01_first")
    (project / "notebooks" / "scratch.ipynb").touch()
    assert notebooks.list_notebooks() == ["01_first", "02_later"]
    with pytest.raises(ValueError, match="unknown notebook '03'; choose from 01_first, 02_later"):
        execute(project, "03")
    with pytest.raises(ValueError, match="unknown notebook '03'"):
        notebooks.refresh_outputs("03", {})


def test_parameters_are_checked_before_anything_runs(project):
    write(project, "01_a")
    with pytest.raises(
        ValueError, match=r"01_a\.ipynb has no parameter 'profil'; it has profile, train, rates"
    ):
        execute(project, "01_a", profil="gpu")
    nbformat.write(new_notebook(cells=[new_code_cell("1")]), project / "notebooks" / "02_b.ipynb")
    with pytest.raises(ValueError, match=r"02_b\.ipynb has 0 cells tagged 'parameters'"):
        execute(project, "02_b")
    assert not (project / "out").exists()


def test_executes_here_with_parameters_and_this_interpreter(project, capfd, monkeypatch):
    """A kernel spec named python3 that is found first, but is not ours, must not be used."""
    spec = project / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    other = {"argv": ["false"], "display_name": "other", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(other))
    monkeypatch.setenv("JUPYTER_PATH", str(project / "jupyter"))
    write(
        project,
        "01_a",
        "import os, sys\nprint(profile, train, sys.executable, sys.prefix, os.getcwd())",
        "print(os.environ['MCMI_OUTPUT'])",
    )
    path = execute(project, "01_a", profile="gpu", train=True)
    assert path == project / "out" / "01_a.ipynb"
    assert printed(path).splitlines() == [
        f"gpu True {sys.executable} {sys.prefix} {project / 'notebooks'}",
        str(project / "out"),
    ]
    assert [entry.name for entry in path.parent.iterdir()] == ["01_a.ipynb"]
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "01_a: started"
    assert lines[-1].startswith("01_a: done in ")


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("print('before')\n1 / 0", "ZeroDivisionError: division by zero"),
        ("import os\nos._exit(1)", "DeadKernelError"),
        ("import sys\nsys.exit()", "SystemExit: cells after this one did not run"),
    ],
)
def test_whatever_does_not_run_to_the_end_is_a_failure(project, capfd, cell, reason):
    write(project, "01_a", "print('reached')", cell, "print('not reached')")
    earlier = project / "out" / "01_a.ipynb"
    earlier.parent.mkdir()
    earlier.write_text("from an earlier time")
    with pytest.raises(NotebookFailed) as caught:
        execute(project, "01_a")
    message = str(caught.value)
    assert message.startswith(f"01_a.ipynb failed in the cell\n\n{cell}\n\n")
    assert reason in message
    assert "\x1b" not in message
    assert not earlier.exists()
    assert list((project / "out").iterdir()) == [project / "out" / "failed"]
    kept = project / "out" / "failed" / "01_a.ipynb"
    assert message.endswith(f"as far as it got: {os.path.relpath(kept)}")
    assert "reached" in printed(kept)
    assert "not reached" not in printed(kept)
    assert capfd.readouterr().err.splitlines()[-1].startswith("01_a: FAILED after ")


def test_out_of_time_is_no_failure_and_leaves_nothing(project, capfd):
    deadline = "import os\nfrom mcmi_core.base.errors import OutOfTime\n"
    deadline += "raise OutOfTime(os.environ['MCMI_DEADLINE'])"
    write(project, "01_a", deadline)
    with pytest.raises(OutOfTime, match=r"^01_a: 12\.5$"):
        notebooks.execute_notebook("01_a", project / "out", {}, deadline=12.5)
    assert list((project / "out").iterdir()) == []
    assert "FAILED" not in capfd.readouterr().err


def test_success_removes_the_failed_copy(project):
    write(project, "01_a", "assert train")
    with pytest.raises(NotebookFailed, match="AssertionError"):
        execute(project, "01_a")
    execute(project, "01_a", train=True)
    assert not (project / "out" / "failed" / "01_a.ipynb").exists()


PROGRESS = """
import os
with open(os.environ["MCMI_PROGRESS"], "w") as progress:
    print("terminal" if progress.isatty() else "log", file=progress)
    for step in range(3):
        print(f"\\r{step} von 3 Größen", end="", file=progress, flush=True)
with open(os.environ["MCMI_PROGRESS"], "w") as progress:
    print("opened again", file=progress)
"""
PROGRAM = """
import sys
from pathlib import Path
from mcmi_core.base import paths
from mcmi_core.report import notebooks
project = paths.PROJECT = Path(sys.argv[1])
print("first", file=sys.stderr, flush=True)
notebooks.execute_notebook("01_a", project / "out", {})
print("last", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("kind", ["pipe", "file", "terminal"])
def test_progress_reaches_standard_error(project, kind):
    """Whatever standard error is, nothing on it is lost or overwritten."""
    write(project, "01_a", PROGRESS)
    log = project / "log"
    log.touch()
    reader, writer = {
        "pipe": os.pipe,
        "file": lambda: (os.open(log, os.O_RDONLY), os.open(log, os.O_WRONLY)),
        "terminal": pty.openpty,
    }[kind]()
    subprocess.run([sys.executable, "-c", PROGRAM, str(project)], stderr=writer, check=True)
    text = os.read(reader, 10_000).decode().replace("\r\n", "\n")
    os.close(reader)
    os.close(writer)
    assert text.startswith("first\n01_a: started\n")
    label = "terminal" if kind == "terminal" else "log"
    steps = "\r0 von 3 Größen\r1 von 3 Größen\r2 von 3 Größen"
    assert f"{label}\n{steps}opened again\n01_a: done in" in text
    assert text.endswith(" s\nlast\n")


def test_a_stopped_execution_leaves_no_notebook_and_no_kernel(project):
    write(project, "01_a", "import os, time\nprint(os.getpid())", "time.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(project)])
    unfinished = project / "out" / ".unfinished_01_a.ipynb"
    deadline = time.monotonic() + 60
    kernel = ""
    while not kernel and time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            kernel = printed(unfinished).strip()
        except (FileNotFoundError, nbformat.reader.NotJSONError):
            continue
    process.kill()
    process.wait()
    assert kernel
    while Path("/proc", kernel, "cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path("/proc", kernel).exists()
    assert not (project / "out" / "01_a.ipynb").exists()


PAUSE = """
import time
print(profile, train, flush=True)
time.sleep(0.5)  # long enough for the kernel to send the first line on its own
print("more")
"""
FIGURE = """
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(2, 2))
axes.plot(rates)
plt.show()
"""


def test_refreshing_twice_gives_the_same_bytes(project):
    path = write(project, "01_a", PAUSE, FIGURE, "rates")
    identifiers = [cell.id for cell in nbformat.read(path, 4).cells]
    assert notebooks.refresh_outputs("01_a", {}) == path
    first = path.read_bytes()
    notebook = nbformat.read(path, 4)
    assert [cell.id for cell in notebook.cells] == identifiers
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2, 3, 4]
    assert notebook.metadata == notebooks.KERNEL
    assert [cell.metadata for cell in notebook.cells] == [{}, {"tags": ["parameters"]}, {}, {}, {}]
    assert [output.text for output in notebook.cells[2].outputs] == ["smoke False\nmore\n"]
    assert "image/png" in notebook.cells[3].outputs[0].data
    assert notebook.cells[4].outputs[0].execution_count == 4
    notebooks.refresh_outputs("01_a", {"profile": "smoke", "train": False})
    assert path.read_bytes() == first


def test_refreshing_with_parameters_changes_the_defaults(project):
    path = write(project, "01_a", "print(profile, train, rates)")
    notebooks.refresh_outputs("01_a", {"profile": "gpu", "train": True, "rates": [0.5]})
    expected = 'profile = "gpu"  # Größe\ntrain = True\nrates = [0.5]'
    assert nbformat.read(path, 4).cells[1].source == expected
    assert printed(path) == "gpu True [0.5]\n"


def test_a_failed_refresh_changes_nothing(project):
    path = write(project, "01_a", "1 / 0")
    before = path.read_bytes()
    with pytest.raises(NotebookFailed, match="ZeroDivisionError"):
        notebooks.refresh_outputs("01_a", {"profile": "gpu"})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["01_a.ipynb"]


def test_summary_names_every_file_with_its_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = Path("build/smoke")
    assert notebooks.summary(output) == "nothing written yet in build/smoke"
    (output / "failed").mkdir(parents=True)
    (output / "failed" / "02_b.ipynb").touch()
    (output / "figures").mkdir()
    (output / "01_a.ipynb").write_bytes(b"x" * 1_234_000)
    (output / "figures" / "01_a.png").write_bytes(b"x" * 20_000)
    assert notebooks.summary(output).splitlines() == [
        "build/smoke/01_a.ipynb         1,234 kB",
        "build/smoke/figures/01_a.png      20 kB",
    ]
