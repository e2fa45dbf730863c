"""Executing notebooks: each way to fail is a failure, and a refreshed notebook is reproducible."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mcmi_core.base import paths
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
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), *cells], metadata=notebooks.KERNEL)
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
        notebooks.shown_profile("03")


def test_parameters_are_checked_before_anything_runs(project):
    write(project, "01_a")
    with pytest.raises(
        ValueError, match=r"01_a\.ipynb has no parameter 'profil'; it has profile, train, rates"
    ):
        execute(project, "01_a", profil="gpu")
    empty = new_notebook(cells=[new_code_cell("1")], metadata=notebooks.KERNEL)
    nbformat.write(empty, project / "notebooks" / "02_b.ipynb")
    with pytest.raises(ValueError, match=r"02_b\.ipynb has no parameter 'profile'; it has none"):
        execute(project, "02_b", profile="gpu")
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
        "print(os.environ['MCMI_OUTPUT'], os.environ['MCMI_RECORDS'], sep='\\n')",
    )
    path = notebooks.execute_notebook(
        "01_a", project / "out", {"profile": "gpu", "train": True}, project / "records"
    )
    assert path == project / "out" / "01_a.ipynb"
    assert printed(path).splitlines() == [
        f"gpu True {sys.executable} {sys.prefix} {project / 'notebooks'}",
        str(project / "out"),
        str(project / "records"),
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


def test_an_error_for_users_is_told_in_a_line(project, capfd):
    cell = "from mcmi_core.base.errors import NotMeasured\nraise NotMeasured('no record\\nof x')"
    write(project, "01_a", "print('reached')", cell)
    with pytest.raises(NotebookFailed) as caught:
        execute(project, "01_a")
    kept = project / "out" / "failed" / "01_a.ipynb"
    told = f"01_a.ipynb: no record of x; as far as it got: {os.path.relpath(kept)}"
    assert str(caught.value) == told
    assert "reached" in printed(kept)
    assert capfd.readouterr().err.splitlines()[-1].startswith("01_a: FAILED after ")


def test_success_removes_the_failed_copy(project):
    write(project, "01_a", "assert train")
    with pytest.raises(NotebookFailed, match="AssertionError"):
        execute(project, "01_a")
    execute(project, "01_a", train=True)
    assert not (project / "out" / "failed" / "01_a.ipynb").exists()


PROGRAM = """
import sys
from pathlib import Path
from mcmi_core.base import paths
from mcmi_core.report import notebooks
project = paths.PROJECT = Path(sys.argv[1])
notebooks.execute_notebook("01_a", project / "out", {})
"""
TRAINING = """
import sys
sys.path.append(TESTS)
from small_runs import kd_student, mll_teacher
from mcmi_core.base.paths import store_root
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
store = Store(store_root())
execute([kd_student(), mll_teacher(seed=1)], store, workers=2)
print(*(record.status for record in store.records()[0]))
"""


def test_a_notebook_can_train_and_stores_no_progress(project):
    write(project, "01_a", TRAINING.replace("TESTS", repr(str(Path(__file__).parents[1]))))
    path = execute(project, "01_a")
    stored = [o for c in nbformat.read(path, 4).cells for o in c.get("outputs", [])]
    assert [(output.name, output.text) for output in stored] == [("stdout", "done done done\n")]


def test_several_are_executed_and_those_that_fail_are_named_at_the_end(project):
    write(project, "01_a", "1 / 0")
    write(project, "02_b", "print(profile)")
    write(project, "03_c", "[][0]")
    out = project / "out"
    with pytest.raises(NotebookFailed) as caught:
        notebooks.execute_notebooks(["01_a", "02_b", "03_c"], out, {"profile": "gpu"})
    message = str(caught.value)
    assert "01_a.ipynb failed in the cell\n\n1 / 0\n" in message
    assert "03_c.ipynb failed in the cell\n\n[][0]\n" in message
    assert printed(out / "02_b.ipynb") == "gpu\n"
    assert not (out / "01_a.ipynb").exists()
    assert notebooks.execute_notebooks(["02_b"], out, {}) == [out / "02_b.ipynb"]


def test_several_are_checked_before_the_first_is_executed(project):
    write(project, "01_a")
    with pytest.raises(ValueError, match="unknown notebook '02'"):
        notebooks.execute_notebooks(["01_a", "02"], project / "out", {})
    with pytest.raises(ValueError, match="has no parameter 'profil'"):
        notebooks.execute_notebooks(["01_a"], project / "out", {"profil": "gpu"})
    assert not (project / "out").exists()


SEVERAL = """
import signal, sys
from pathlib import Path
from mcmi_core import cli
from mcmi_core.base import paths
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
project = paths.PROJECT = Path(sys.argv.pop(1))
cli.main()
"""


def test_an_interrupt_ends_all_kernels_and_starts_no_other(project):
    for name in ("01_a", "02_b", "03_c"):
        write(project, name, "import os, time\nprint(os.getpid())", "time.sleep(600)")
    out = project / "out"
    command = [sys.executable, "-c", SEVERAL, str(project), "notebook", "run"]
    command += ["01_a", "02_b", "03_c", "--jobs", "2", "--output", str(out)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    kernels = [wait_for_kernel(out / f".unfinished_{name}.ipynb") for name in ("01_a", "02_b")]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    begun = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 5
    assert process.returncode == 130
    assert "mcmi: interrupted" in errors
    assert "03_c: started" not in errors
    for kernel in kernels:
        wait_for_end(kernel)


def wait_for_kernel(unfinished: Path) -> str:
    """The process that executes a notebook, which prints its number first."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            if kernel := printed(unfinished).strip():
                return kernel
        except (FileNotFoundError, nbformat.reader.NotJSONError):
            continue
    raise AssertionError(f"no kernel has written to {unfinished}")


def wait_for_end(process: str) -> None:
    """A kernel looks once in a second whether the process that started it is still there."""
    deadline = time.monotonic() + 60
    while Path("/proc", process).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path("/proc", process).exists()


def test_a_stopped_execution_leaves_no_notebook_and_no_kernel(project):
    write(project, "01_a", "import os, time\nprint(os.getpid())", "time.sleep(600)")
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(project)])
    unfinished = project / "out" / ".unfinished_01_a.ipynb"
    kernel = wait_for_kernel(unfinished)
    process.kill()
    process.wait()
    wait_for_end(kernel)
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


def test_storing_outputs_of_two_executions_gives_the_same_bytes(project):
    path = write(project, "01_a", PAUSE, FIGURE, "rates")
    notebook = nbformat.read(path, 4)
    identifiers = [cell.id for cell in notebook.cells]
    notebook.metadata["author"] = notebook.cells[3].metadata["collapsed"] = "by Jupyter"
    nbformat.write(notebook, path)
    contents = []
    for _ in range(2):
        notebooks.store_outputs(execute(project, "01_a", profile="smoke", train=False), "smoke")
        contents.append(path.read_bytes())
    notebook = nbformat.read(path, 4)
    assert [cell.id for cell in notebook.cells] == identifiers
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2, 3, 4]
    assert notebook.metadata == notebooks.KERNEL
    assert [cell.metadata for cell in notebook.cells] == [{}, {"tags": ["parameters"]}, {}, {}, {}]
    assert [output.text for output in notebook.cells[2].outputs] == ["smoke False\nmore\n"]
    assert "image/png" in notebook.cells[3].outputs[0].data
    assert notebook.cells[4].outputs[0].execution_count == 4
    assert contents[0] == contents[1]


def test_the_profile_of_stored_outputs_is_the_default(project):
    path = write(project, "01_a", "print(profile, train, rates)")
    assert notebooks.shown_profile("01_a") == "smoke"
    notebooks.store_outputs(execute(project, "01_a", profile="gpu"), "gpu")
    expected = PARAMETERS.replace("smoke", "gpu")
    assert nbformat.read(path, 4).cells[1].source == expected
    assert printed(path) == "gpu False [0.1, 0.2]\n"
    assert notebooks.shown_profile("01_a") == "gpu"


def test_what_is_for_a_reader_at_a_kernel_is_not_stored(project):
    path = write(project, "01_a", "print('a slider')", "print('a table')")
    notebook = nbformat.read(path, 4)
    notebook.cells[2].metadata["tags"] = [notebooks.INTERACTIVE]
    nbformat.write(notebook, path)
    notebooks.store_outputs(execute(project, "01_a"), "smoke")
    *_, slider, table = nbformat.read(path, 4).cells
    assert (slider.outputs, slider.execution_count) == ([], 2)
    assert table.outputs[0].text == "a table\n"
