"""Folders of any name, clocks that disagree, a computer that sleeps: no result depends on them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from faults import (
    BEGUN,
    CPU,
    FINISHED,
    TEACHER,
    assert_same,
    checkpoint,
    contents,
    record,
    trained,
)
from small_runs import DATA, draw_images, kd_student
from test_derived import SECOND, load, look_at
from test_derived import STUDENT as OF_LOGITS
from test_derived import TEACHER as WITH_LOGITS

from mcmi_core.base.errors import OutOfTime
from mcmi_core.base.paths import PROJECT, cache_root, data_root, output_root, store_root
from mcmi_core.report.plots import save_figure
from mcmi_core.runs import execute as execute_module
from mcmi_core.runs import trainer
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
from mcmi_core.runs.teacher_logits import MOST_AHEAD, _last_use
from mcmi_core.runs.trainer import ensure

NAME = "Ünïcode – 100 % [données] \u732b"
YEAR = 365 * 86_400


# Places


@pytest.fixture
def odd_places(tmp_path, monkeypatch):
    for folder in ("store", "data", "cache", "output"):
        monkeypatch.setenv(f"MCMI_{folder.upper()}", str(tmp_path / NAME / f"my {folder}"))
    return tmp_path / NAME


def test_folders_of_any_name_hold_everything(odd_places, whole):
    store = Store(store_root())
    assert store.root.parent == odd_places
    execute(FINISHED, store, workers=1, device=CPU, together=1)
    assert_same(FINISHED, store, whole)
    trained(OF_LOGITS, store)
    assert list(store.folder(WITH_LOGITS).glob("logits-*.float32"))
    record(TEACHER, store).write_text("")
    assert trained(TEACHER, store) == TEACHER.epochs
    draw_images(data_root() / "pets")
    assert look_at(load()) == look_at(load())
    assert list(cache_root().rglob("*.train"))
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    save_figure(figure, "line", pd.DataFrame({"a": [1]}), profile="tiny", note="n = 1 seed")
    assert (output_root() / "figures" / "line.csv").exists()


def test_a_clone_of_any_name_trains(odd_places):
    """All of the project that training reads: the package."""
    clone = odd_places / "my clone"
    clone.mkdir(parents=True)
    (clone / "mcmi_core").symlink_to(PROJECT / "mcmi_core")
    command = [sys.executable, "-m", "mcmi_core.cli", "train-teacher", "--epochs", "1"]
    command += ["--data", DATA, "--model", "mlp:width=8"]
    environment = os.environ | {"PYTHONPATH": str(clone), "MCMI_CORES": "1"}
    ran = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    [path] = store_root().glob("*/record.json")
    assert ran.stdout.startswith(path.parent.name)


# Clocks


@pytest.mark.parametrize("seconds", [-10 * YEAR, 10 * YEAR], ids=["past", "future"])
def test_times_of_files_say_nothing(store, whole, seconds, caplog):
    trained(OF_LOGITS, store)
    for path in store.root.rglob("*"):
        os.utime(path, (time.time() + seconds,) * 2)
    before = contents(store.root)
    assert [trained(run, store) for run in [*FINISHED, OF_LOGITS]] == [0] * 5
    assert contents(store.root) == before
    assert trained(BEGUN, store) == 2
    assert trained(SECOND, store) == SECOND.epochs
    now = contents(store.root)
    assert all(now[path] == before[path] for path in before if ".float32" in path.name)
    assert_same(FINISHED, store, whole)
    assert caplog.messages == []


def test_the_date_of_a_record_says_nothing(store):
    path = record(TEACHER, store)
    fields = json.loads(path.read_text())
    del fields["checksum"]
    for date in ("1970-01-01", "2999-12-31"):
        fields["provenance"]["date"] = date
        path.write_text(json.dumps(fields))
        assert trained(TEACHER, store) == 0
        assert trained(kd_student(TEACHER, seed=int(date[:4])), store) == 4


def test_logits_of_a_time_to_come_are_the_first_to_go(tmp_path):
    """Else those that are just used, whose time is set to now, would go first."""
    path = tmp_path / "logits"
    path.write_text("")
    for ahead, used in ((0, True), (-YEAR, True), (MOST_AHEAD / 2, True), (2 * MOST_AHEAD, False)):
        os.utime(path, (time.time() + ahead,) * 2)
        assert (_last_use(path) > 0) == used


@pytest.mark.parametrize("jump", [8 * 3600, 30 * 86_400])
def test_a_computer_that_sleeps_while_it_saves_goes_on_saving(tmp_path, whole, monkeypatch, jump):
    """As where the clock counts the sleep; of that, the seconds in the record are told."""
    monkeypatch.setattr(trainer, "TIME_FOR_CHECKPOINTS", 0.05)
    now, saved, save = [0.0], [], Store.save_checkpoint

    def sleep(store, run, saving, about):
        save(store, run, saving, about)
        saved.append(saving.epoch)
        now[0] += jump if len(saved) == 1 else 1

    monkeypatch.setattr(Store, "save_checkpoint", sleep)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    store = Store(tmp_path / "asleep")

    def an_epoch_takes_half_an_hour():
        now[0] += 1800

    ensure(TEACHER, store, CPU, an_epoch_takes_half_an_hour)
    monkeypatch.undo()
    assert saved == [1, 2, 3, 4]  # not after twenty times the hours that saving seemed to take
    assert_same([TEACHER], store, whole)
    assert store.record(TEACHER).provenance["seconds"] >= jump


@pytest.mark.parametrize("jump", [-YEAR, YEAR])
def test_a_wall_clock_that_jumps_ends_training_early_or_not_and_loses_nothing(
    store, tmp_path, monkeypatch, jump
):
    """Only a deadline is in its seconds."""
    moments = iter([0.0])

    class Clock:
        @staticmethod
        def time():
            return time.time() + next(moments, jump)

    monkeypatch.setattr(execute_module, "time", Clock)
    monkeypatch.setattr(execute_module, "POLL_SECONDS", 0)  # or it is done before a second look
    deadline = time.time() + 3600
    if jump > 0:
        with pytest.raises(OutOfTime, match="0 of 1 runs done"):
            execute([BEGUN], store, workers=1, device=CPU, deadline=deadline)
        monkeypatch.undo()
        assert checkpoint(BEGUN, store).exists()
    execute([BEGUN], store, workers=1, device=CPU, deadline=deadline)
    anew = Store(tmp_path / "anew")
    ensure(BEGUN, anew, CPU)
    assert_same([BEGUN], store, anew)


def test_places_are_what_they_seem():
    assert not Path(NAME).name.isascii() and " " in NAME
