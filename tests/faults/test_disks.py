"""Disks that are full, cannot be written, or vanish and return."""

import errno
import os
import shutil
import sys
import tarfile

import pytest
import tiny_sprint
from faults import (
    BEGUN,
    CPU,
    DAMAGE,
    FINISHED,
    STUDENT,
    TEACHER,
    assert_same,
    checkpoint,
    contents,
    full,
    mounted,
    read_only,
    record,
    small_disk,
    trained,
    unmounted,
    use_up,
    weights,
)
from small_runs import draw_images, kd_student, mll_teacher
from test_derived import STUDENT as OF_LOGITS
from test_derived import TEACHER as WITH_LOGITS
from tiny_sprint import in_lanes

from mcmi_core import cli
from mcmi_core.base.errors import RunsFailed, StoreError
from mcmi_core.base.paths import data_root
from mcmi_core.data import image_cache
from mcmi_core.data.image_folder import image_folder
from mcmi_core.runs import teacher_logits
from mcmi_core.runs.execute import execute
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, load_model
from mcmi_core.sprint.luggage import pack, unpack

NO_SPACE = "No space left on device"
NEW = kd_student(TEACHER, seed=7)


# Full


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "weights.safetensors", "record.json"])
def test_a_disk_that_fills_up_costs_nothing_that_was_there(store, whole, name, monkeypatch):
    replace, epochs = os.replace, []

    def full_for_one(source, target):
        full() if os.path.basename(target) == name else replace(source, target)

    before = contents(store.root)
    monkeypatch.setattr(os, "replace", full_for_one)
    with pytest.raises(StoreError, match=f"cannot write .*/{name}: {NO_SPACE}; whatever it held"):
        ensure(BEGUN, store, CPU, lambda: epochs.append(1))
    monkeypatch.undo()
    now = contents(store.root)
    assert {path: now[path] for path in before} == before or name != "checkpoint.safetensors"
    assert not [path for path in now if path.name.startswith(".")]
    # From the last checkpoint on: of epoch 2, or of epoch 4, after which only files are to write.
    assert trained(BEGUN, store) == (2 if name == "checkpoint.safetensors" else 0)
    assert len(epochs) == (0 if name == "checkpoint.safetensors" else 2)
    anew = Store(store.root.with_name("anew"))
    ensure(BEGUN, anew, CPU)
    assert_same([BEGUN], store, anew)
    assert_same(FINISHED, store, whole)


def on_small_disk(disk, run, after, free=0):
    """Make a run on a disk that is full after some epochs, but for some blocks."""
    store, epochs, filler = Store(disk / "store"), [], []

    def count():
        epochs.append(1)
        if len(epochs) == after:
            filler.append(use_up(disk))
            with filler[0].open("ab") as file:
                file.truncate(filler[0].stat().st_size - 4096 * free)

    with pytest.raises(StoreError, match=NO_SPACE) as refused:
        ensure(run, store, CPU, count)
    filler[0].unlink()
    assert not list(store.root.rglob(".*"))
    return store, str(refused.value)


@pytest.mark.parametrize(
    ("after", "free", "name", "left"),
    [
        (1, 0, "checkpoint.safetensors", 3),
        (4, 0, "weights.safetensors", 0),
        (4, 1, "record.json", 0),
    ],
)
def test_a_real_disk_that_fills_up(tmp_path, whole, after, free, name, left):
    with small_disk(tmp_path / "small", 2**20) as disk:
        store, message = on_small_disk(disk, TEACHER, after, free)
        assert message.startswith(f"cannot write {store.folder(TEACHER) / name}: ")
        assert trained(TEACHER, store) == left
        assert_same([TEACHER], store, whole)


def test_a_disk_that_fills_up_with_logits(tmp_path, monkeypatch):
    monkeypatch.setattr(teacher_logits, "_make_room", lambda *_: None)  # which says so beforehand
    predict, filler = teacher_logits.predict_logits, []
    with small_disk(tmp_path / "small", 2**20) as disk:
        store = Store(disk / "store")
        trained(WITH_LOGITS, store)

        def fill_up(*arguments):
            if len(filler) == 4:
                filler.append(use_up(disk))
            filler.append(None)
            return predict(*arguments)

        monkeypatch.setattr(teacher_logits, "predict_logits", fill_up)
        with pytest.raises(StoreError, match=f"cannot write .*float32: {NO_SPACE}"):
            ensure(OF_LOGITS, store, CPU)
        filler[4].unlink()
        computed = len(filler)
        assert trained(OF_LOGITS, store) == OF_LOGITS.epochs
        assert len(filler) - computed == 9 - 4
        anew = Store(tmp_path / "anew")
        ensure(OF_LOGITS, anew, CPU)
        assert_same([OF_LOGITS], store, anew)


def test_a_disk_that_fills_up_with_decoded_images(tmp_path, monkeypatch):
    draw_images(data_root() / "pets")
    expected = image_folder(folder="pets", image_size=4).fingerprint()
    decode, filler = image_cache.decode, []
    with small_disk(tmp_path / "small", 2**18) as disk:
        monkeypatch.setenv("MCMI_CACHE", str(disk))

        def fill_up(path, size):
            if not filler:
                filler.append(use_up(disk))
            return decode(path, size)

        monkeypatch.setattr(image_cache, "decode", fill_up)
        with pytest.raises(StoreError, match=f"cannot write decoded images to .*: {NO_SPACE}"):
            image_folder(folder="pets", image_size=4)
        assert [path.suffix for path in (disk / "imagefolder").iterdir()] == [".lock"]
        filler[0].unlink()
        assert image_folder(folder="pets", image_size=4).fingerprint() == expected


def test_a_sprint_that_cannot_pack_says_so_and_what_was_packed_stays(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    pack([TEACHER], store, out)
    before = contents(out)
    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(StoreError, match=f"^cannot write {out}/weights-1.tar: {NO_SPACE}$"):
        pack([TEACHER], store, out)
    assert contents(out) == before


def test_a_sprint_onto_a_full_disk(tmp_path, monkeypatch):
    tiny_sprint.skip_measuring(monkeypatch.setattr)
    monkeypatch.setenv("MCMI_STORE", str(tmp_path / "of_sprint"))
    with small_disk(tmp_path / "small", 2**20) as disk:
        filler = use_up(disk)
        said = []
        with pytest.raises(StoreError, match=f"cannot write {disk}/out/report.md: {NO_SPACE}"):
            tiny_sprint.sprint(disk / "out", say=said.append)
        filler.unlink()
        tiny_sprint.sprint(disk / "out", say=said.append)
        assert unpack(disk / "out", Store(tmp_path / "again")) == len(tiny_sprint.wanted())


# Read-only


def test_a_store_that_cannot_be_written_is_read(store):
    with read_only(store.root):
        assert trained(STUDENT, store) == 0
        execute(FINISHED, store, device=CPU)
        assert load_model(TEACHER, store, CPU) is not None
        for run in (NEW, BEGUN):
            with pytest.raises(StoreError, match="cannot lock .*/lock: Read-only file system"):
                ensure(run, store, CPU)


def test_damage_in_a_store_that_cannot_be_written_is_named_and_stays(store):
    DAMAGE["half"](record(STUDENT, store))
    DAMAGE["a bit"](weights(TEACHER, store))
    before = contents(store.root)
    with read_only(store.root):
        with pytest.raises(
            StoreError, match="cannot lock .*: Read-only file system.*record.json is damaged"
        ):
            ensure(STUDENT, store, CPU)
        with pytest.raises(StoreError, match="weights.safetensors is damaged"):
            load_model(TEACHER, store, CPU)
    assert contents(store.root) == before


# Gone, and back


def vanish(store):
    store.root.rename(store.root.with_name("elsewhere"))


def come_back(store):
    store.root.with_name("elsewhere").rename(store.root)


SWEEP = [mll_teacher(seed=seed) for seed in range(1, 4)]  # the first of them has begun


@pytest.mark.parametrize("epoch", [1, 2, 5])
def test_a_store_that_vanishes_during_a_sweep_is_said_and_the_next_call_goes_on(
    store, whole, tmp_path, epoch, monkeypatch
):
    saved, save = [], Store.save_checkpoint

    def save_then_vanish(self, *arguments):
        save(self, *arguments)
        saved.append(1)
        if len(saved) == epoch:
            vanish(store)

    monkeypatch.setattr(Store, "save_checkpoint", save_then_vanish)
    before = contents(store.root)
    with pytest.raises(RunsFailed, match=f"{store.root} was there and is gone, as"):
        in_lanes([*SWEEP, NEW], store, workers=2)
    assert not store.root.exists()  # nothing has begun in its place
    come_back(store)
    now = contents(store.root)
    assert all(path in now for path in before if path.parent != store.folder(BEGUN))
    monkeypatch.undo()
    epochs = sum(trained(run, store) for run in [*SWEEP, NEW])
    assert epochs == 2 + 4 + 4 + 4 - epoch
    anew = Store(tmp_path / "anew")
    for run in [*SWEEP, NEW]:
        ensure(run, anew, CPU)
    assert_same([*SWEEP, NEW], store, anew)
    assert_same(FINISHED, store, whole)


def test_a_run_whose_folder_is_deleted_meanwhile_ends_with_a_line(store):
    with pytest.raises(StoreError, match=f"{store.folder(NEW)} was deleted while the run was made"):
        ensure(NEW, store, CPU, lambda: shutil.rmtree(store.folder(NEW), ignore_errors=True))
    assert trained(NEW, store) == NEW.epochs


def test_a_disk_that_is_unmounted_and_mounted_again(tmp_path):
    """What it was mounted on stays as an empty folder, in which nothing may begin."""
    with small_disk(tmp_path / "small", 2**20) as disk:
        place, saved = tmp_path / "place", []
        place.mkdir()
        mounted("--bind", disk, place)
        store = Store(place)

        def unplug():
            saved.append(1)
            if len(saved) == 2:
                unmounted(place)

        with pytest.raises(StoreError, match=f"{place} was there and is gone"):
            ensure(TEACHER, store, CPU, unplug)
        assert list(place.iterdir()) == []
        mounted("--bind", disk, place)
        try:
            assert trained(TEACHER, Store(place)) == 2
        finally:
            unmounted(place)


def test_a_first_sweep_notices_too(tmp_path, monkeypatch, capsys):
    """In worker processes, whose first runs make the store."""
    store = Store(tmp_path / "new")
    store.attach()
    shutil.rmtree(store.root)
    with pytest.raises(StoreError, match="new was there and is gone"):
        ensure(TEACHER, store, CPU)
    monkeypatch.setenv("MCMI_STORE", str(tmp_path / "other"))
    monkeypatch.setattr(sys, "argv", ["mcmi", "runs", "list"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "no finished run" in capsys.readouterr().out


def test_checkpoints_that_cannot_be_looked_for_are_an_error(store, monkeypatch):
    """Not a reason to train from the start, as if there were none."""
    path, stat = checkpoint(BEGUN, store), type(record(BEGUN, store)).stat

    def refuse(self, **settings):
        if self == path:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return stat(self, **settings)

    monkeypatch.setattr(type(path), "stat", refuse)
    with pytest.raises(StoreError, match=f"cannot read {path}: Input/output error"):
        ensure(BEGUN, store, CPU)
