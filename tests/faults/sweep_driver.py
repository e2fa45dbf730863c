"""A process of its own that makes the sweep, and can be killed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PROGRAM = """
import multiprocessing.forkserver, sys
from killed_sweep import drive
from mcmi_core.runs.on_cores import WARM

# Takes seconds. Meanwhile, the driver before this one is at work.
multiprocessing.get_context("forkserver").set_forkserver_preload(WARM)
multiprocessing.forkserver.ensure_running()
if told := sys.stdin.readline():
    drive(*told.rstrip().split("\\t"))
"""


class Driver:
    """Makes the sweep once it is told to; the head of a process group.

    Args:
        folder: of data and cache; what drivers print is kept there too.
        paths: to import from.
    """

    def __init__(self, folder: Path, paths: list[str]) -> None:
        self._printed = folder / "printed"
        settings = {f"MCMI_{name.upper()}": str(folder / name) for name in ("cache", "data")}
        settings |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        with open(self._printed, "ab") as printed:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env=os.environ | settings,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )

    def go(self, root: Path, log: Path) -> None:
        """Begin, or go on with, the sweep in a store."""
        self.process.stdin.write(f"{root}\t{log}\n".encode())
        self.process.stdin.flush()

    def is_at_work(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def owns(self, process: int) -> bool:
        """Whether a process is in the driver's group."""
        with suppress(ProcessLookupError):
            return os.getpgid(process) == self.process.pid
        return False

    def kill(self, who: str, worker: int) -> None:
        """Kill ``all`` of the group, the ``driver`` alone or a ``worker``; fetch the driver."""
        if who == "worker":
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(worker, signal.SIGKILL)
        elif who == "driver":
            self.process.kill()
            self.process.wait()
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def close(self) -> None:
        """End the group, whatever it is doing."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def printed(self) -> str:
        """The end of what drivers have printed."""
        return self._printed.read_text(errors="replace")[-3000:]
