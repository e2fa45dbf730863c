"""Every test gets folders and one thread of its own."""

import logging
import math
import sys

import pytest
import torch

from mcmi_core import cli
from mcmi_core.runs import trainer
from mcmi_core.runs.store import Store

collect_ignore = ["browser"]  # needs Chromium: make test-browser


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and equal thread counts give equal bits."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No test reads or writes the user's store, outputs, caches or data."""
    for name in ("store", "output", "cache", "data"):
        monkeypatch.setenv(f"MCMI_{name.upper()}", str(tmp_path / name))


@pytest.fixture(autouse=True)
def own_log():
    """What a command line says is no matter of the next test."""
    level = logging.getLogger("mcmi_core").level
    yield
    logging.getLogger("mcmi_core").setLevel(level)


@pytest.fixture
def caplog(caplog):
    """What this project logs, and no library.

    An object that an earlier test left may log an error whenever it is collected.
    """
    with caplog.filtering(logging.Filter("mcmi_core")):
        yield caplog


@pytest.fixture(autouse=True)
def a_checkpoint_of_every_epoch(monkeypatch):
    """However long it takes, so that no test depends on the clock."""
    monkeypatch.setattr(trainer, "TIME_FOR_CHECKPOINTS", math.inf)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def mcmi(monkeypatch, capsys):
    """Run ``mcmi`` with arguments: what it prints, or, if it is to fail, its message."""

    def run(*arguments: str, fails: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["mcmi", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr().out
        if not fails:
            assert stopped.value.code in (0, None), stopped.value.code
            return printed
        assert stopped.value.code.startswith("mcmi: ")
        assert "\n" not in stopped.value.code
        return stopped.value.code

    return run
