"""What every mistake has in common: one line, in time, and nothing is written."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import settings
from small_runs import DATA, mll_teacher

from mcmi_core.base.device import default_device
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure

settings.register_profile(
    "bad input", derandomize=True, database=None, deadline=None, max_examples=60
)
settings.load_profile("bad input")

LONGEST = 1200
"""Characters of a message; most of them are accepted names."""

SECONDS = 30
"""For a mistake to be told, on a machine that is busy."""


def everything_in(*folders: Path) -> set[str]:
    return {str(path) for folder in folders for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def refused(mcmi, tmp_path, monkeypatch):
    """Run ``mcmi`` with a mistake: its one line, which holds all of the words."""
    monkeypatch.chdir(tmp_path)

    def run(arguments: list[str], *words: str) -> str:
        places = [tmp_path, Path(os.environ["MCMI_STORE"])]
        before, begun = everything_in(*places), time.monotonic()
        message = mcmi(*arguments, fails=True)
        assert time.monotonic() - begun < SECONDS
        assert everything_in(*places) == before
        assert message.isprintable() and len(message) < LONGEST
        assert "Traceback" not in message
        for word in words:
            assert word in message
        return message

    return run


@pytest.fixture(scope="session")
def store_with_a_teacher(tmp_path_factory):
    """A store that holds one small MLL teacher of four classes."""
    store = Store(tmp_path_factory.mktemp("trained"))
    ensure(mll_teacher(epochs=1, data=DATA), store, default_device())
    return store


@pytest.fixture
def teacher(store_with_a_teacher, monkeypatch):
    """Its name, in the store that ``mcmi`` uses."""
    monkeypatch.setenv("MCMI_STORE", str(store_with_a_teacher.root))
    return "teacher-oracle"
