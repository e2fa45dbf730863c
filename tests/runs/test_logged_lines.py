"""What processes that train log commands no terminal: they quote names that others gave."""

import subprocess
import sys

import pytest
from small_runs import mll_teacher

from mcmi_core.runs.preflight import held_file, versions
from mcmi_core.runs.store import Store
from mcmi_core.runs.training_process import TrainingProcess

RUN = mll_teacher()
SWEEP = """
import sys
from pathlib import Path
import torch
from mcmi_core.runs.config import parse_run
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
run = parse_run(eval(sys.argv[1]))
execute([run], Store(Path(sys.argv[2])), workers=1, device=torch.device("cpu"))
"""


@pytest.fixture
def root(tmp_path):
    """A store whose name erases the screen, with a damaged checkpoint that is to be spoken of."""
    store = Store(tmp_path / "a\x1b[2Jb")
    store.folder(RUN).mkdir(parents=True)
    (store.folder(RUN) / "checkpoint.safetensors").write_bytes(b"")
    return store.root


def assert_harmless(text):
    [line] = [line for line in text.splitlines() if "is damaged" in line]
    _, begins, message = line.partition("mcmi: ")  # before it, a bar may be drawn
    assert begins and r"a\x1b[2Jb" in message
    assert "\x1b" not in message


def test_a_local_worker_logs_as_the_command_line_does(root):
    command = [sys.executable, "-c", SWEEP, str(RUN.model_dump(mode="json")), str(root)]
    assert_harmless(subprocess.run(command, capture_output=True, text=True, check=True).stderr)


def test_a_process_of_a_cluster_logs_as_the_command_line_does(root, capsys):
    process, question = TrainingProcess(), {"runs": [RUN.model_dump(mode="json")]}
    with held_file(root) as held:
        check = {"held": str(held), "device": "cpu", "like": versions(), "datasets": []}
        answer = process.ask(question | {"check": check, "store": str(root)}, lambda: True)
    process.stop()
    assert answer["outcomes"] == [[RUN.key, True, None]]
    assert_harmless(capsys.readouterr().err)
