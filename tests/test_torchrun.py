"""The command line on two processes: it speaks once, keeps one record, and ends when one dies."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from small_runs import DATA, mll_teacher
from typer.testing import CliRunner

from mcmi_core import cli
from mcmi_core.base.errors import CompanionError
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
MCMI = ("-m", "mcmi_core.cli")
TRAIN = ("train-teacher", "--data", DATA, "--model", "mlp:width=8")


def torchrun(*arguments):
    return subprocess.run([*TORCHRUN, *MCMI, *arguments], capture_output=True, text=True)


def test_two_processes_train_one_run_and_speak_once(store):
    recipe = "batch_size=50,scale_rate=sqrt,warm_up_epochs=1"
    done = torchrun(*TRAIN, "--epochs", "2", "--recipe", recipe)
    assert done.returncode == 0, done.stderr
    [run_id] = store.find()
    name, train, test = done.stdout.splitlines()
    assert name == run_id
    assert train.startswith("train  accuracy_percent") and test.startswith(
        "test   accuracy_percent"
    )
    [record], [] = store.records()
    assert record.provenance["processes"] == 2
    assert "warn" not in done.stderr.lower()
    assert {path.name for path in store.path(run_id).parent.iterdir()} == {
        "lock",
        "record.json",
        "weights.safetensors",
    }


def test_two_processes_say_once_why_they_fail(store):
    teacher = ensure(mll_teacher(epochs=1), store)
    done = torchrun("distill", teacher.key, "--student", "mlp:width=4", "--distiller", "rkd")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("mcmi: distiller 'rkd' compares the samples of a batch") == 1
    assert "cli.py" not in done.stderr  # torchrun's own report has a traceback, we have none


@pytest.mark.parametrize("command", [["train", "all"], ["evidence"], ["notebook", "run", "x"]])
def test_what_distributes_runs_itself_is_refused(monkeypatch, command):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = CliRunner().invoke(cli.app, command).exception
    assert isinstance(refused, CompanionError)
    assert str(refused) == (
        "torchrun shares one run between processes, that of train-teacher, fine-tune, distill; "
        f"start `mcmi {command[0]}` without it (--cluster distributes runs)"
    )


def test_the_other_process_ends_when_one_is_killed(store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2"}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, *MCMI, *TRAIN, "--epochs", "100000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first, second = (
        subprocess.Popen(command, env=environment | {"RANK": rank}, **pipes) for rank in "01"
    )
    try:
        while not list(store.root.glob("*/checkpoint.safetensors")):
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.1)
        second.send_signal(signal.SIGKILL)
        output, errors = first.communicate(timeout=60)
    finally:
        first.kill()
        second.kill()
        second.communicate()
    assert (first.returncode, output) == (1, "")
    [line] = [line for line in errors.splitlines() if "this machine is busy" not in line]
    assert line.startswith("mcmi: another process of this run died or hangs (")
    assert line.endswith("); the same command goes on from the last checkpoint")
    assert Store(store.root).find() == []
