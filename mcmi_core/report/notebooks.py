"""Executing the notebooks: Papermill, and what it leaves to its caller.

Papermill writes its output while it runs, marks a notebook whose kernel died as completed, takes
``sys.exit()`` for success, and only warns about a misspelt parameter. Here a notebook appears
under its name when every cell has run, and not before.
"""

import ast
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, ClassVar

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets import default

from mcmi_core.base import errors, paths
from mcmi_core.base.errors import CompanionError
from mcmi_core.base.files import make_folder
from mcmi_core.base.messages import meant, quoted, without_breaks

KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


FOR_USERS = [name for name, error in vars(errors).items() if isinstance(error, type)]
"""Names of the project's own errors, whose messages need no traceback."""

INTERACTIVE = "nbval-skip"
"""Tag of cells for a reader at a kernel: their outputs are neither stored nor compared."""


class Kernel(AsyncKernelManager):
    """Starts this interpreter, whatever else is installed as the kernel ``python3``."""

    variables: ClassVar[dict[str, str]] = {}
    """Of its environment, beside those of this process."""

    @default("transport_encryption")
    def _encrypt(self) -> str:
        return "auto"  # without it, every kernel warns on the terminal

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter, and how it starts."""
        # It logs an error for the interrupt that every shutdown begins with.
        quiet = get_kernel_dict(extra_arguments=["--IPKernelApp.log_level=CRITICAL"])
        return KernelSpec(**quiet, env=self.variables)


class NotebookFailed(CompanionError):
    """A notebook that stopped before its last cell; the message holds the cell and traceback.

    Of an error that a user can act on, it holds that error's message alone, in a line.
    """


def list_notebooks() -> list[str]:
    """Names of the project's notebooks, without ``.ipynb``, in reading order."""
    return sorted(path.stem for path in (paths.PROJECT / "notebooks").glob("[0-9]*.ipynb"))


def notebook_path(name: str) -> Path:
    """The file of a notebook of the project.

    Raises:
        ValueError: there is none of this name.
    """
    known = list_notebooks()
    if name not in known:
        raise ValueError(
            f"unknown notebook {quoted(name)}; choose from {', '.join(known)}{meant(name, known)}"
        )
    return paths.PROJECT / "notebooks" / f"{name}.ipynb"


def execute_notebook(
    name: str, output_folder: Path, parameters: Mapping[str, Any], records: Path | None = None
) -> Path:
    """Execute a notebook with parameters into ``output_folder/name.ipynb``.

    The kernel is this interpreter and works in the notebooks' folder. It finds ``output_folder``
    in ``MCMI_OUTPUT``.

    Args:
        name: of the notebook.
        output_folder: for it, and for the figures that it draws.
        parameters: values by name.
        records: the folder of records that answer, its ``MCMI_RECORDS``; None: that of this
            process, by default the committed ones.

    Returns:
        The executed notebook. It is there only after success; what a failed one got done is kept
        in ``output_folder/failed/name.ipynb``.

    Raises:
        ValueError: unknown notebook, or a parameter that its parameters cell does not define.
        NotebookFailed: a cell raised or called ``sys.exit()``, or the kernel died.
    """
    source = notebook_path(name)
    _check(source, parameters)
    output_folder = output_folder.resolve()
    finished, failed = output_folder / source.name, output_folder / "failed" / source.name
    make_folder(output_folder)
    for earlier in (finished, failed):  # a copy from an earlier time would pass for this one's
        earlier.unlink(missing_ok=True)
    unfinished = output_folder / f".unfinished_{source.name}"
    folders = {"MCMI_OUTPUT": output_folder, "MCMI_RECORDS": records}
    environment = {name: str(folder.resolve()) for name, folder in folders.items() if folder}
    try:
        _run(source, unfinished, parameters, environment)
    except NotebookFailed as error:
        make_folder(failed.parent)
        os.replace(unfinished, failed)
        apart = "\n\n" if "\n" in str(error) else "; "
        raise NotebookFailed(f"{error}{apart}as far as it got: {os.path.relpath(failed)}") from None
    os.replace(unfinished, finished)
    return finished


def execute_notebooks(
    names: Iterable[str],
    output_folder: Path,
    parameters: Mapping[str, Any],
    records: Path | None = None,
    jobs: int = 3,
) -> list[Path]:
    """Execute several notebooks, a few at a time; one that fails does not stop the others.

    Args:
        names: of notebooks of the project.
        output_folder: as of :func:`execute_notebook`.
        parameters: of all of them.
        records: as of :func:`execute_notebook`.
        jobs: notebooks at a time.

    Returns:
        The executed notebooks.

    Raises:
        ValueError: as :func:`execute_notebook`, before anything is executed.
        NotebookFailed: at least one failed; the message holds those of all.
    """
    names = list(names)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    for name in names:
        _check(notebook_path(name), parameters)

    def execute_in_thread(name: str) -> Path:
        try:
            return execute_notebook(name, output_folder, parameters, records)
        finally:
            ensure_event_loop().close()  # Papermill made it for this thread

    pool = ThreadPoolExecutor(jobs)
    asked = [pool.submit(execute_in_thread, name) for name in names]
    try:
        wait(asked)
    finally:  # at Ctrl-C, kernels end with this process
        pool.shutdown(wait=False, cancel_futures=True)
    errors = [future.exception() for future in asked]
    if failed := [str(error) for error in errors if isinstance(error, NotebookFailed)]:
        raise NotebookFailed("\n\n".join(failed))
    return [future.result() for future in asked]


def shown_profile(name: str) -> str:
    """The profile whose outputs a notebook of the project stores: its parameter's default."""
    return ast.literal_eval(papermill.inspect_notebook(notebook_path(name))["profile"]["default"])


def store_outputs(executed: Path, profile: str) -> None:
    """Store the outputs of an executed notebook in the project's notebook of that name.

    Nothing that says when or by which release it ran is stored, so that equal outputs give equal
    bytes. Nor are the outputs of interactive cells, which are dead without a kernel.

    Args:
        executed: of :func:`execute_notebook`, with parameters of which only ``profile`` is not the
            default.
        profile: becomes the default, since stored outputs are those of the stored source.
    """
    path = notebook_path(executed.stem)
    notebook = nbformat.read(path, as_version=4)
    cells = {cell.id: cell for cell in nbformat.read(executed, as_version=4).cells}
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
        if "parameters" in cell.metadata.get("tags", []):
            default = f'profile = "{profile}"'
            cell.source = re.sub('^profile = "[^"]*"', default, cell.source, flags=re.M)
    for number, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell.execution_count, cell.outputs = number, cells[cell.id].outputs
        if INTERACTIVE in cell.metadata.get("tags", []):
            cell.outputs = []
        for output in cell.outputs:
            if "execution_count" in output:  # Papermill's own cell, with parameters, counted too
                output.execution_count = number
    notebook.metadata = nbformat.from_dict(KERNEL)
    nbformat.write(notebook, path)


def _check(path: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter that a notebook's parameters cell does not define."""
    defined = papermill.inspect_notebook(path)
    for key in parameters:
        if key not in defined:
            accepted = (", ".join(defined) or "none") + meant(key, defined)
            raise ValueError(f"{path.name} has no parameter {quoted(key)}; it has {accepted}")


def _run(
    source: Path, output: Path, parameters: Mapping[str, Any], environment: dict[str, str]
) -> None:
    """Execute ``source`` into ``output``; whatever did not run to the end is a failure."""
    started = time.monotonic()
    print(f"{source.stem}: started", file=sys.stderr, flush=True)
    reason, told = "", ""

    class OwnKernel(Kernel):
        variables = environment

    try:
        papermill.execute_notebook(
            source,
            output,
            dict(parameters),
            kernel_name="python3",
            language="python",
            kernel_manager_class=OwnKernel,
            resources={"metadata": {"path": str(paths.PROJECT / "notebooks")}},
            progress_bar=False,
            start_timeout=300,  # seconds; many kernels may start at once on few cores
            iopub_timeout=60,
            coalesce_streams=True,  # else printed text is split where the clock says
        )
    except PapermillExecutionError as error:
        reason = "\n".join(error.traceback) or f"{error.ename}: {error.evalue}"
        if error.ename in FOR_USERS:
            told = without_breaks(error.evalue)
    except (DeadKernelError, CellTimeoutError) as error:
        reason = f"{type(error).__name__}: {error}"
    cells = [c for c in nbformat.read(output, as_version=4).cells if c.cell_type == "code"]
    if not reason and any(cell.metadata.papermill.status != "completed" for cell in cells):
        reason = "SystemExit: cells after this one did not run"
    seconds = f"{time.monotonic() - started:.1f} s"
    outcome = f"FAILED after {seconds}" if reason else f"done in {seconds}"
    print(f"{source.stem}: {outcome}", file=sys.stderr, flush=True)
    if told:
        raise NotebookFailed(f"{source.name}: {told}")
    if reason:
        begun = [cell for cell in cells if cell.metadata.papermill.get("start_time")]
        head = "\n".join(begun[-1].source.splitlines()[:5])
        reason = re.sub(r"\x1b\[[0-9;]*m", "", reason)
        raise NotebookFailed(f"{source.name} failed in the cell\n\n{head}\n\n{reason}")
