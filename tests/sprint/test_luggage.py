"""What is packed: the most needed first, within its bounds, and back again as it was."""

import io
import tarfile
import threading

import pytest
import torch
from small_runs import DATA, kd_student, mll_teacher

from mcmi_core.base.errors import StoreError
from mcmi_core.runs.config import BayesTeacher
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure
from mcmi_core.sprint import luggage
from mcmi_core.sprint.luggage import pack, unpack
from mcmi_core.training.loop import Checkpoint

CPU = torch.device("cpu")
NEEDED, DONE, BEGUN = mll_teacher(), mll_teacher(seed=1), kd_student()
PADDING = tarfile.RECORDSIZE


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def put(store, run, size, *, finished=True):
    """Weights or a checkpoint of some bytes, and a record; what is in them does not matter."""
    folder = store.folder(run)
    folder.mkdir(parents=True)
    name = "weights" if finished else "checkpoint"
    (folder / f"{name}.safetensors").write_bytes(bytes(size))
    if finished:
        (folder / "record.json").write_text("{}")


def packed(out):
    """Names of the runs and files in the archives of weights, in order."""
    found = []
    for path in sorted(out.glob("weights-*.tar")):
        with tarfile.open(path) as archive:
            found += archive.getnames()
    return found


def name_of(run, kind="weights"):
    return f"{run.id}/{kind}.safetensors"


def stop():
    raise KeyboardInterrupt


@pytest.fixture
def trained(store):
    """Two teachers that are done, and a student of one with one epoch of four."""
    for run in (NEEDED, DONE):
        ensure(run, store, CPU)
    with pytest.raises(KeyboardInterrupt):
        ensure(BEGUN, store, CPU, on_epoch=stop)
    return store


def test_what_is_unpacked_is_what_was_packed(trained, out, tmp_path):
    pack([NEEDED, DONE, BEGUN], trained, out)
    assert sorted(path.name for path in out.iterdir()) == ["records.tar.gz", "weights-1.tar"]
    again = Store(tmp_path / "again")
    assert unpack(out, again) == 2
    for run in (NEEDED, DONE):
        assert again.record(run) == trained.record(run)
        weights, others = again.weights(run), trained.weights(run)
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert again.record(BEGUN) is None
    assert again.epochs_left(BEGUN) == 3
    one, other = (store.load_checkpoint(BEGUN, CPU)[0] for store in (again, trained))
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in other.tensors)
    names = {path.name for path in again.root.rglob("*") if path.is_file()}
    assert names == {"record.json", "weights.safetensors", "checkpoint.safetensors"}


def test_training_goes_on_from_what_was_unpacked(trained, out, tmp_path):
    pack([NEEDED, BEGUN], trained, out)
    again = Store(tmp_path / "again")
    unpack(out, again)
    epochs = []
    ensure(BEGUN, again, CPU, on_epoch=lambda: epochs.append(1))
    ensure(BEGUN, trained, CPU)
    assert len(epochs) == 3
    weights, others = again.weights(BEGUN), trained.weights(BEGUN)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize("boxes", [1, 2, 3])
def test_what_later_runs_need_comes_first_then_checkpoints(store, out, monkeypatch, boxes):
    monkeypatch.setattr(luggage, "FILES", boxes)
    monkeypatch.setattr(luggage, "MOST_BYTES", 20_000)  # of one file each
    put(store, DONE, 12_000)
    put(store, NEEDED, 12_000)
    put(store, BEGUN, 12_000, finished=False)
    pack([DONE, NEEDED, BEGUN], store, out)
    ranked = [name_of(NEEDED), name_of(BEGUN, "checkpoint"), name_of(DONE)]
    assert packed(out) == ranked[:boxes]
    assert unpack(out, Store(out / "again")) == 2  # records all come along


def test_no_file_is_too_large_and_none_is_left_out_that_has_room(store, out, monkeypatch):
    monkeypatch.setattr(luggage, "MOST_BYTES", 100_000)
    sizes = torch.randint(1_000, 60_000, (30,), generator=torch.Generator().manual_seed(0))
    runs = [mll_teacher(seed=seed) for seed in range(len(sizes))]
    for run, size in zip(runs, sizes.tolist(), strict=True):
        put(store, run, size)
    pack(runs, store, out)
    files = sorted(out.glob("weights-*.tar"))
    assert len(files) == luggage.FILES == 4
    assert all(path.stat().st_size <= 100_000 + PADDING for path in files)
    left_out = {name_of(run) for run in runs} - set(packed(out))
    assert left_out
    smallest = min(store.root.joinpath(name).stat().st_size for name in left_out)
    assert all(path.stat().st_size + smallest > 100_000 for path in files)


def test_the_bounds_are_those_that_are_promised():
    assert luggage.FILES + len(["records", "report", "speed"]) <= 8
    assert luggage.MOST_BYTES + PADDING <= 16 * 2**20


def test_packing_again_replaces_all_that_was_packed_before(store, out, monkeypatch):
    monkeypatch.setattr(luggage, "MOST_BYTES", 20_000)
    put(store, DONE, 12_000)
    put(store, BEGUN, 12_000, finished=False)
    pack([DONE, BEGUN], store, out)
    assert len(list(out.glob("weights-*.tar"))) == 2
    (store.folder(BEGUN) / "checkpoint.safetensors").unlink()
    pack([DONE, BEGUN], store, out)
    assert packed(out) == [name_of(DONE)]


def test_an_archive_is_replaced_at_once_or_not_at_all(trained, out, tmp_path, monkeypatch):
    pack([NEEDED, BEGUN], trained, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def fail(*arguments, **settings):
        raise OSError("no space left")

    monkeypatch.setattr(tarfile.TarFile, "addfile", fail)
    with pytest.raises(StoreError, match="cannot write .*: no space left"):
        pack([NEEDED, DONE, BEGUN], trained, out)
    for name, content in before.items():
        assert (out / name).read_bytes() == content
    assert unpack(out, Store(tmp_path / "again")) == 1


def test_a_parent_whose_weights_had_no_room_is_trained_again(store, out, tmp_path, monkeypatch):
    monkeypatch.setattr(luggage, "FILES", 1)
    monkeypatch.setattr(luggage, "MOST_BYTES", 20_000)
    parents = [mll_teacher(seed=seed) for seed in range(2)]
    for run in (*parents, mll_teacher(seed=2)):
        put(store, run, 12_000)
    wanted = [*parents, mll_teacher(seed=2), *map(kd_student, parents)]
    pack(wanted, store, out)
    again = Store(tmp_path / "again")
    assert unpack(out, again) == 2
    has = {
        name: [(again.folder(run) / name).exists() for run in wanted[:3]]
        for name in ("record.json", "weights.safetensors")
    }
    assert has["weights.safetensors"] == [True, False, False]
    assert has["record.json"] == [True, False, True]  # nothing builds on the third


def test_a_parent_that_has_no_weights_keeps_its_record(store, out, tmp_path):
    truth = BayesTeacher(data=DATA)
    ensure(truth, store, CPU)
    pack([truth, kd_student(truth)], store, out)
    assert unpack(out, Store(tmp_path / "again")) == 1


def test_records_are_written_last(trained, out, monkeypatch):
    pack([NEEDED, BEGUN], trained, out)
    before, write = (out / luggage.RECORDS).read_bytes(), luggage._write

    def fail(target, *arguments):
        if target.name == luggage.RECORDS:
            raise StoreError("cannot write records: no space left")
        write(target, *arguments)

    monkeypatch.setattr(luggage, "_write", fail)
    with pytest.raises(StoreError, match="cannot write .*: no space left"):
        pack([NEEDED, DONE, BEGUN], trained, out)
    assert (out / luggage.RECORDS).read_bytes() == before
    assert name_of(DONE) in packed(out)


def test_what_the_store_has_is_kept(store, out, tmp_path):
    other = kd_student(seed=1)
    for run in (BEGUN, other):
        put(store, run, 10, finished=False)
    pack([BEGUN, other], store, out)
    newer = Store(tmp_path / "newer")
    put(newer, BEGUN, 20, finished=False)
    put(newer, other, 30)
    unpack(out, newer)
    assert (newer.folder(BEGUN) / "checkpoint.safetensors").stat().st_size == 20
    assert not (newer.folder(other) / "checkpoint.safetensors").exists()
    assert (newer.folder(other) / "weights.safetensors").stat().st_size == 30


def test_checkpoints_that_change_or_go_while_they_are_packed_are_whole_or_left_out(
    store, out, tmp_path
):
    runs, over = [mll_teacher(seed=seed) for seed in range(4)], threading.Event()

    def train():
        epoch = 0
        while not over.is_set():
            epoch += 1
            for run in runs:
                tensors = {"model.weight": torch.full((50 * (1 + epoch % 7),), float(epoch))}
                store.save_checkpoint(run, Checkpoint(epoch, [{}] * (epoch % 9), tensors), {})
                if epoch % 3 == 0:
                    (store.folder(run) / "checkpoint.safetensors").unlink()

    for run in runs:
        store.folder(run).mkdir(parents=True)
    trainer = threading.Thread(target=train)
    trainer.start()
    found = 0
    try:
        for number in range(60):
            pack(runs, store, out)
            again = Store(tmp_path / str(number))
            unpack(out, again)
            for run in runs:
                checkpoint, _ = again.load_checkpoint(run, CPU)  # a StoreError if it is damaged
                found += checkpoint is not None
    finally:
        over.set()
        trainer.join()
    assert found


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle:])


def garbage(content):
    return b"no archive" * 100


def nothing(content):
    return b""


@pytest.mark.parametrize("damage", [cut, flip, garbage, nothing])
@pytest.mark.parametrize("name", ["records.tar.gz", "weights-1.tar"])
def test_a_damaged_archive_is_named(trained, out, tmp_path, name, damage):
    pack([NEEDED, DONE, BEGUN], trained, out)
    path = out / name
    if (name, damage) == ("weights-1.tar", flip):
        content = path.read_bytes()
        path.write_bytes(bytes(255 - byte for byte in content[:512]) + content[512:])
    else:
        path.write_bytes(damage(path.read_bytes()))
    again = Store(tmp_path / "again")
    with pytest.raises(StoreError, match=f"^cannot unpack {path}: .+"):
        unpack(out, again)
    assert again.find() == [] or name == "records.tar.gz"


def test_a_record_that_is_damaged_in_its_middle_is_named(trained, out, tmp_path):
    """A wrong byte may be noticed by whoever decompresses, or only by a checksum."""
    pack([NEEDED, DONE], trained, out)
    path = out / "records.tar.gz"
    whole = path.read_bytes()
    for place in [*range(22, len(whole), 25), len(whole) - 1]:
        path.write_bytes(whole[:place] + bytes([255 - whole[place]]) + whole[place + 1 :])
        with pytest.raises(StoreError, match=f"^cannot unpack {path}: .+"):
            unpack(out, Store(tmp_path / str(place)))


def test_a_folder_without_records_was_not_packed(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match=f"^{folder} holds no records.tar.gz: no sprint was"):
            unpack(folder, Store(tmp_path / "again"))
    assert not (tmp_path / "again").exists()


def member(name, **changes):
    info = tarfile.TarInfo(name)
    info.size = 0 if changes else 4
    for field, value in changes.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("../outside.txt"),
        member("run/../../outside.txt"),
        member("link", type=tarfile.SYMTYPE, linkname="../outside.txt"),
        member("link", type=tarfile.LNKTYPE, linkname="../../outside.txt"),
        member("pipe", type=tarfile.FIFOTYPE),
    ],
)
@pytest.mark.parametrize("name", ["records.tar.gz", "weights-1.tar"])
def test_nothing_is_written_outside_the_store(trained, out, tmp_path, name, info):
    pack([NEEDED], trained, out)
    with tarfile.open(out / name, "w:gz" if name.endswith("gz") else "w") as archive:
        archive.addfile(info, io.BytesIO(b"evil"))
    before = set(tmp_path.iterdir())
    with pytest.raises(StoreError, match=f"^cannot unpack {out / name}: "):
        unpack(out, Store(tmp_path / "again"))
    assert set(tmp_path.iterdir()) - before == {tmp_path / "again"}
    assert not (tmp_path / "again" / "link").exists()
