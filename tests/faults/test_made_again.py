"""A damaged file costs the run that it belongs to, which is made again, and nothing else."""

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from faults import (
    BEGUN,
    CPU,
    DAMAGE,
    FINE_TUNED,
    FINISHED,
    OF_FINE_TUNED,
    STUDENT,
    TEACHER,
    assert_same,
    checkpoint,
    contents,
    record,
    trained,
    weights,
)
from small_runs import kd_student, mll_teacher
from tiny_sprint import in_lanes

from mcmi_core.base.errors import Damaged, RunsFailed, StoreError
from mcmi_core.base.files import locked
from mcmi_core.runs import store as store_module
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.execute import execute
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.records import Records
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, ensure_together, load_model

NEW = kd_student(TEACHER, seed=7)
"""A student that is not there yet, and so needs its teacher's weights."""

EACH = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


def others(store, *runs):
    """What the store holds of all other runs."""
    folders = [store.folder(run) for run in runs]
    return {p: c for p, c in contents(store.root).items() if p.parent not in folders}


def aside(path):
    return Path(f"{path}.damaged")


@EACH
def test_a_run_with_a_damaged_checkpoint_is_trained_from_the_start(store, whole, damage, caplog):
    path = checkpoint(BEGUN, store)
    damage(path)
    damaged, before = path.read_bytes(), others(store, BEGUN)
    assert trained(BEGUN, store) == BEGUN.epochs
    [line] = caplog.messages
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith(
        "kept as checkpoint.safetensors.damaged, the run is trained from the start"
    )
    assert aside(path).read_bytes() == damaged
    assert others(store, BEGUN) == before
    ensure(BEGUN, whole_again := Store(store.root.with_name("anew")), CPU)
    assert_same([BEGUN], store, whole_again)


@EACH
def test_a_run_with_a_damaged_record_is_made_again(store, whole, damage, caplog):
    path = record(TEACHER, store)
    damage(path)
    damaged, before = path.read_bytes(), others(store, TEACHER)
    assert Queue([STUDENT], store).epochs_left == {TEACHER.key: TEACHER.epochs}
    assert contents(store.root) == before | contents(store.folder(TEACHER))
    assert trained(STUDENT, store) == TEACHER.epochs
    [line] = caplog.messages
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith("kept as record.json.damaged, the run is made again")
    assert aside(path).read_bytes() == damaged
    assert others(store, TEACHER) == before
    assert_same(FINISHED, store, whole)


@EACH
def test_a_teacher_with_damaged_weights_is_trained_again_alone(store, whole, damage, caplog):
    path = weights(TEACHER, store)
    damage(path)
    damaged, before = path.read_bytes(), others(store, TEACHER)
    assert trained(STUDENT, store) == 0  # its record is there, so nobody needs the weights
    assert contents(store.root).keys() >= before.keys() and caplog.messages == []
    assert trained(NEW, store) == TEACHER.epochs + NEW.epochs
    [line] = caplog.messages
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith(
        "as weights.safetensors.damaged, so is its record, and the run is made again"
    )
    assert aside(path).read_bytes() == damaged
    assert aside(record(TEACHER, store)).exists()
    assert others(store, TEACHER, NEW) == before
    assert_same(FINISHED, store, whole)


def damage_weights(store, *runs):
    for run in runs:
        DAMAGE["a bit"](weights(run, store))


@pytest.mark.parametrize("make", [in_lanes, execute], ids=["lanes", "processes"])
def test_in_a_sweep_what_is_damaged_is_made_again_and_the_rest_stays(store, make):
    """Two generations of weights, a record and a checkpoint; four new students find out."""
    new = [kd_student(FINE_TUNED, seed=seed) for seed in range(1, 4)]
    wanted = [*new, NEW, BEGUN, OF_FINE_TUNED]
    damage_weights(store, TEACHER, FINE_TUNED)
    DAMAGE["half"](record(STUDENT, store))
    DAMAGE["zeros"](checkpoint(BEGUN, store))
    before = others(store, TEACHER, FINE_TUNED, STUDENT, BEGUN)
    one_by_one = {"together": 1} if make is execute else {}  # last digits depend on company
    make([*wanted, STUDENT], store, workers=2, device=CPU, **one_by_one)
    now = contents(store.root)
    assert {path: now[path] for path in before} == before
    anew = Store(store.root.with_name("anew"))
    make([*wanted, STUDENT], anew, workers=2, device=CPU, **one_by_one)
    assert_same([TEACHER, FINE_TUNED, STUDENT, *new, NEW, BEGUN], store, anew)
    assert len(list(store.root.rglob("*.damaged"))) == 2 + 2 + 1 + 1


def test_students_that_are_trained_together_wait_for_their_teacher(store, whole):
    """The group goes back to the queue, and starts again."""
    damage_weights(store, TEACHER)
    new = [kd_student(TEACHER, seed=seed) for seed in range(7, 10)]
    execute(new, store, workers=1, device=CPU)
    assert {store.record(run).provenance["trained_together"] for run in new} == {3}
    assert_same([TEACHER], store, whole)


def test_a_measurement_of_damaged_weights_makes_them_again(store):
    look = Measurement(of=STUDENT, what="temperature_sweep:temperatures=1.0")
    ensure(look, store, CPU)
    expected = store.record(look).result
    shutil.rmtree(store.folder(look))
    damage_weights(store, STUDENT)
    assert trained(look, store) == STUDENT.epochs
    assert store.record(look).result == expected


def test_whoever_only_looks_is_told_and_changes_nothing(store):
    damage_weights(store, TEACHER)
    before = contents(store.root)
    with pytest.raises(Damaged, match="weights.safetensors is damaged"):
        load_model(TEACHER, store, CPU)
    assert contents(store.root) == before


def test_a_second_damaged_file_takes_the_place_of_the_first(store, whole):
    for _ in range(2):
        DAMAGE["empty"](record(STUDENT, store))
        ensure(STUDENT, store, CPU)
    assert [path.name for path in store.root.rglob("*.damaged")] == ["record.json.damaged"]
    assert_same([STUDENT], store, whole)


@pytest.mark.parametrize("make", [ensure, in_lanes], ids=["ensure", "lanes"])
def test_a_disk_that_damages_everything_ends_in_an_error(store, make, monkeypatch):
    finish = Store.finish

    def finish_badly(self, run, *arguments):
        finish(self, run, *arguments)
        damage_weights(self, run)

    damage_weights(store, TEACHER)
    monkeypatch.setattr(Store, "finish", finish_badly)
    run = NEW if make is ensure else [NEW]
    with pytest.raises((StoreError, RunsFailed), match="weights.safetensors is damaged"):
        make(run, store, device=CPU)


def test_only_the_holder_of_the_lock_sets_aside(store, whole):
    """Another process holds it for a moment, and makes the weights whole meanwhile."""
    damage_weights(store, TEACHER)
    held, over = threading.Event(), threading.Event()

    def repair():
        with locked(store.folder(TEACHER) / "lock"):
            held.set()
            over.wait(0.3)
            shutil.copy(weights(TEACHER, whole), weights(TEACHER, store))

    other = threading.Thread(target=repair)
    other.start()
    held.wait()
    assert trained(NEW, store) == NEW.epochs
    other.join()
    assert not list(store.root.rglob("*.damaged"))


def test_killed_between_the_record_and_the_weights_the_run_is_made_again(store, whole, monkeypatch):
    damage_weights(store, TEACHER)
    monkeypatch.setattr(Store, "_set_aside", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ensure(NEW, store, CPU)
    monkeypatch.undo()
    assert trained(NEW, store) == TEACHER.epochs + NEW.epochs
    assert_same([TEACHER], store, whole)


def test_a_parent_that_another_process_makes_again_is_waited_for(store):
    """It has set the teacher aside after this one saw it finished."""
    queue = Queue([NEW], store)
    record(TEACHER, store).unlink()
    with pytest.raises(StoreError, match="is not finished in"):
        ensure_together([NEW], store, CPU)
    assert queue.groups(1) == [(NEW,)]
    assert trained(NEW, store) == TEACHER.epochs + NEW.epochs


# What is no damage


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize(
    ("file", "run"), [(checkpoint, BEGUN), (record, STUDENT), (weights, TEACHER)]
)
def test_what_cannot_be_read_is_an_error_and_stays(store, monkeypatch, file, run, number):
    path, read, before = file(run, store), Path.read_bytes, contents(store.root)

    def refuse(self):
        if self == path:
            raise OSError(number, os.strerror(number), str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    wanted = NEW if run is TEACHER else run
    with pytest.raises(StoreError, match=f"^cannot read {path}: {os.strerror(number)}$") as refused:
        ensure(wanted, store, CPU)
    assert not isinstance(refused.value, Damaged)
    monkeypatch.undo()
    assert {p: c for p, c in contents(store.root).items() if p in before} == before
    assert trained(wanted, store) == (2 if run is BEGUN else 4 * (run is TEACHER))


@pytest.mark.parametrize(
    ("file", "run"), [(checkpoint, BEGUN), (record, STUDENT), (weights, TEACHER)]
)
def test_a_folder_in_its_place_is_an_error_and_stays(store, whole, file, run):
    path = file(run, store)
    path.rename(path.with_name("elsewhere"))
    (path / "inside").mkdir(parents=True)
    wanted = NEW if run is TEACHER else run
    with pytest.raises(StoreError, match=f"^cannot read {path}: it is no file$"):
        ensure(wanted, store, CPU)
    shutil.rmtree(path)
    path.with_name("elsewhere").rename(path)
    assert trained(wanted, store) == (2 if run is BEGUN else 4 * (run is TEACHER))


def test_a_record_of_another_run_is_an_error_and_stays(store):
    path, text = record(STUDENT, store), record(OF_FINE_TUNED, store).read_text()
    path.write_text(text.replace(OF_FINE_TUNED.key, STUDENT.key))  # whose checksum gives it away
    assert trained(STUDENT, store) == STUDENT.epochs
    fields = [line for line in text.splitlines() if '"checksum"' not in line]
    text = "\n".join(fields).rpartition(",")[0] + "}"
    path.write_text(text.replace(OF_FINE_TUNED.key, STUDENT.key))
    edited = path.read_text()
    with pytest.raises(StoreError, match="it was edited, or written by another version"):
        ensure(STUDENT, store, CPU)
    assert path.read_text() == edited


def test_weights_of_another_run_are_an_error_and_stay(store):
    path = weights(TEACHER, store)
    shutil.copy(weights(FINE_TUNED, store), path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="holds the weights of another run than"):
        ensure(NEW, store, CPU)
    assert path.read_bytes() == before


def test_a_replay_moves_nothing(store, tmp_path):
    path = tmp_path / f"{STUDENT.id}.json"
    path.write_bytes(record(STUDENT, store).read_bytes()[:-9])
    before = contents(tmp_path)
    with pytest.raises(Damaged, match=f"{path} is damaged"):
        Records(tmp_path).record(STUDENT)
    assert contents(tmp_path) == before


def test_a_damaged_run_is_listed_and_nothing_changes(store):
    DAMAGE["half"](record(STUDENT, store))
    before = contents(store.root)
    records, [error] = store.records()
    assert len(records) == len(FINISHED) - 1
    assert str(error).startswith(f"{record(STUDENT, store)} is damaged (no JSON: ")
    assert contents(store.root) == before


def test_nothing_can_be_set_aside_where_nothing_can_be_renamed(store, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    DAMAGE["half"](record(STUDENT, store))
    monkeypatch.setattr(store_module, "set_aside", store_module.set_aside)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match="record.json, which is damaged: Read-only file system"):
        ensure(STUDENT, store, CPU)


def test_a_run_of_another_seed_needs_none_of_this(store):
    damage_weights(store, TEACHER)
    assert trained(mll_teacher(seed=3), store) == 4
