"""Chromium for every test in this folder, and JupyterLab for those that ask for it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcmi_core.base.paths import PROJECT

pytest.register_assert_rewrite("open_notebook")  # an assertion there says what it found, too

CHROMIUM = Path("/usr/bin/chromium")

FLAGS = [
    "--headless",
    "--no-sandbox",  # CI is root in a container, where the sandbox does not start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

SETTINGS_OF_A_USER = ("JUPYTER", "IPYTHON", "JPY_", "XDG_", "MPL")
"""How the variables start that name a user's settings; without them, these lie in HOME."""

SECONDS_TO_START = 60


@pytest.fixture(scope="session")
def base_url():
    """None. In place of pytest-playwright's own, of which pytest warns: an error here."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's Chromium, since the one that Playwright would download is not in the lock."""
    if not CHROMIUM.exists():
        pytest.exit(f"{CHROMIUM} is missing: sudo apt-get install chromium", returncode=1)
    return browser_type_launch_args | {"executable_path": str(CHROMIUM), "args": FLAGS}


class JupyterLab:
    """JupyterLab in a folder of its own; what it shows is written into ``notebooks`` there.

    Args:
        folder: For the notebooks, for HOME, and for the log.
    """

    def __init__(self, folder: Path) -> None:
        checkout = folder / "checkout"
        self.notebooks = checkout / "notebooks"
        self.notebooks.mkdir(parents=True)
        shutil.copytree(PROJECT / "figures", checkout / "figures")  # notebooks show some of them
        self.home = folder / "home"
        self.home.mkdir()
        self.token = secrets.token_hex()
        self.log = folder / "jupyterlab.log"
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += ["--ip=127.0.0.1", "--port=0", f"--IdentityProvider.token={self.token}"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=checkout, env=self._environment(), stdout=log, stderr=log
            )

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's, no news from the network, one thread and no GPU."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(SETTINGS_OF_A_USER)
        }
        no_news = self.home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
        no_news.mkdir(parents=True)
        (no_news / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False})
        )
        return kept | {
            "HOME": str(self.home),
            "PYTHONPATH": str(PROJECT),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def address(self, notebook: str) -> str:
        """Where a browser opens a notebook, once the server answers.

        Raises:
            AssertionError: The server ended, or does not answer in time; with its log.
        """
        server = self.home / f".local/share/jupyter/runtime/jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + SECONDS_TO_START
        while not server.exists():
            alive = self.process.poll() is None and time.monotonic() < deadline
            assert alive, f"JupyterLab does not start:\n{self.log.read_text()}"
            time.sleep(0.1)
        port = json.loads(server.read_text())["port"]
        return f"http://127.0.0.1:{port}/lab/tree/notebooks/{notebook}?token={self.token}"

    def stop(self) -> None:
        """End the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()  # kernels end when their server does
            self.process.wait()


@pytest.fixture
def jupyterlab(tmp_path) -> Iterator[JupyterLab]:
    """JupyterLab with this interpreter as its kernel, on copies: the checkout stays clean."""
    lab = JupyterLab(tmp_path)
    yield lab
    lab.stop()
