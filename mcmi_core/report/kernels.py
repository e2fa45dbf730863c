"""Kernels that start in a moment: copies of one process that has imported what notebooks import.

A kernel imports torch, pandas, scipy and seaborn for ten seconds, and a replay of every notebook
would spend most of its time on that. Here one process imports them, and forks a kernel when one
is wanted. What a kernel does from there on, and what it stores, is the same.
"""

import multiprocessing
import os
import signal
import sys
import threading
import uuid
from multiprocessing.process import BaseProcess
from typing import ClassVar

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning import LocalProvisioner
from traitlets import default

WARM = [
    "mcmi_core.report.kernels",
    "matplotlib.pyplot",
    "mcmi_core.report.plots",
    "mcmi_core.report.tables",
    "mcmi_core.experiments.claims",
    "mcmi_core.profiles",
]
"""What is imported once for all kernels. Anything else that a notebook imports, it still can."""


class WarmKernelManager(AsyncKernelManager):
    """Starts copies of one process with this interpreter, whatever is installed as ``python3``.

    Args:
        environment: variables that the kernel gets beside those of this process.
        folder: where it works.
    """

    environment: ClassVar[dict[str, str]] = {}
    folder = "."

    def __init__(self, **settings) -> None:
        super().__init__(**settings)
        self.kernel_id = str(uuid.uuid4())
        self.provisioner = _Fork(
            kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
        )

    @default("transport_encryption")
    def _encrypt(self) -> str:
        return "auto"  # without it, every kernel warns on the terminal

    @property
    def kernel_spec(self) -> KernelSpec:
        """This interpreter, and how it starts."""
        # It logs an error for the interrupt that every shutdown begins with. What is written to
        # descriptor 2 stays out of the notebook: it is where progress bars are drawn.
        quiet = ["--IPKernelApp.log_level=CRITICAL", "--IPKernelApp.capture_fd_output=False"]
        return KernelSpec(**get_kernel_dict(extra_arguments=quiet), env=self.environment)


def kill_kernels() -> None:
    """Kill all kernels that this process has started, and whatever they train."""
    for process in multiprocessing.active_children():
        process.kill()


class _Fork(LocalProvisioner):
    async def launch_kernel(self, cmd: list[str], **settings) -> dict:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(WARM)
        options = cmd[cmd.index("-f") :]
        arguments = (options, self.parent.folder, settings["env"])
        process = context.Process(target=_run_kernel, args=arguments)
        process.start()
        self.process = _Popen(process)
        self.pid = self.pgid = process.pid
        return self.connection_info


class _Popen:
    """A process of multiprocessing, as its caller would use one of subprocess."""

    stdin = stdout = stderr = None

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.kill, self.terminate = process.kill, process.terminate

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self._process.pid, number)


def _run_kernel(options: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be a kernel until it is told to shut down, or until the process that wanted it is gone."""
    os.setsid()  # a Ctrl-C on the terminal is for the process that wanted it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    _say_that_this_is_a_notebook()
    os.chdir(folder)
    sys.argv = ["ipykernel_launcher", *options]
    IPKernelApp.launch_instance(options)


def _say_that_this_is_a_notebook() -> None:
    """Set what matplotlib and pandas decide at import, which was before there was a notebook."""
    import matplotlib
    import pandas

    if not os.environ.get("MPLBACKEND"):
        matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"
    pandas.set_option("display.max_columns", 20)  # on a terminal, as many as fit
