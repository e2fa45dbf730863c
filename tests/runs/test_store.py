"""Records and checkpoints: whole, checked, and refused when they are not what they say."""

import errno
import json
import os
import tempfile

import pytest
import torch
from small_runs import kd_student, mll_teacher

from mcmi_core.base.errors import Damaged, StoreError
from mcmi_core.base.paths import PROJECT
from mcmi_core.base.tensor_files import read_tensors, write_tensors
from mcmi_core.runs.config import Measurement
from mcmi_core.runs.execute import execute
from mcmi_core.runs.records import Record, Records, read_record
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure, load_model
from mcmi_core.training.loop import Checkpoint

CPU = torch.device("cpu")


def record_of(run, **fields):
    config = run.model_dump(mode="json")
    return Record(key=run.key, run=config, provenance={"torch": torch.__version__}, **fields)


def test_records_round_trip(store):
    run = kd_student()
    record = record_of(run, metrics={"test": {"cmi_nats": 0.25}}, history={"epoch": [1, None]})
    store.finish(run, record, {"weight": torch.ones(2)})
    assert store.record(run) == record
    assert store.records() == ([record], [])
    assert record.id == run.id
    assert torch.equal(store.weights(run)["weight"], torch.ones(2))


def test_a_record_parses_its_run_once(tmp_path, monkeypatch):
    run = kd_student()
    path = Records(tmp_path).path(run.id)
    path.write_text(record_of(run).to_json())
    record = read_record(path)
    monkeypatch.setattr("mcmi_core.runs.records.parse_run", None)
    assert (record.id, record.parsed_run) == (run.id, run)


def test_runs_are_found_by_the_start_of_their_id_or_key_without_reading_a_record(store):
    finished = [mll_teacher(seed=seed) for seed in range(3)] + [kd_student()]
    for run in finished:
        store.finish(run, record_of(run), weights=None)
        store.path(run.id).write_text("not read")
    store.folder(mll_teacher(seed=3)).mkdir()  # not finished
    ids = sorted(run.id for run in finished)
    assert store.find() == ids
    assert store.find("teacher") == ids[1:]
    assert store.find(ids[0]) == store.find(finished[3].key[:12]) == ids[:1]
    assert store.find("mlp") == []


def test_runs_whose_folders_cannot_be_read_are_named(store):
    """A link to itself is refused to everybody, as a folder without permission is not to root."""
    run, hidden = mll_teacher(), mll_teacher(seed=1)
    store.finish(run, record_of(run), weights=None)
    store.folder(hidden).symlink_to(store.folder(hidden))
    lines = [f"cannot read {store.folder(hidden)}/{name}.json: " for name in ("record", "failure")]
    [record], [no_record] = store.records()
    [], [no_failure] = store.failures()
    assert record.id == run.id
    assert str(no_record).startswith(lines[0]) and str(no_failure).startswith(lines[1])
    assert store.find(run.key) == [run.id]  # who asks for another run need not read that one
    with pytest.raises(StoreError, match=lines[0]):
        store.find()


def test_a_store_that_cannot_be_read_is_not_an_empty_one(store):
    store.root.symlink_to(store.root)
    for look in (store.find, store.records, store.failures):
        with pytest.raises(StoreError, match=f"cannot read {store.root}: "):
            look()


def test_numbers_are_kept_to_eight_digits(tmp_path):
    record = record_of(mll_teacher(), metrics={"test": {"cmi_nats": 0.123456789012}})
    path = tmp_path / "record.json"
    path.write_text(record.to_json())
    assert read_record(path).metrics["test"]["cmi_nats"] == 0.12345679


def test_a_record_whose_configuration_was_edited_is_refused(tmp_path):
    run = mll_teacher()
    path = Records(tmp_path).path(run.id)
    path.write_text(record_of(run).to_json().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(StoreError, match=f"says key {run.key}, but its configuration has key"):
        Records(tmp_path).record(run)


@pytest.mark.parametrize("text", ["", "{", '{"key": 1', "\x00" * 100, "[" * 100_000])
def test_damaged_records_are_refused(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(Damaged, match=r"record.json is damaged \(no JSON: .*\)$"):
        read_record(path)


@pytest.mark.parametrize("text", ['{"key": 1}', "[]", "3"])
def test_what_is_no_record_is_refused_but_not_taken_for_damage(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="record.json is not a record") as refused:
        read_record(path)
    assert not isinstance(refused.value, Damaged)


def test_a_number_that_was_changed_is_found_in_a_store(store):
    run = mll_teacher()
    store.finish(run, record_of(run, metrics={"test": {"cmi_nats": 0.25}}), weights=None)
    path = store.path(run.id)
    path.write_text(path.read_text().replace("0.25", "0.75"))
    with pytest.raises(Damaged, match=r"record.json is damaged \(its checksum is another\)$"):
        store.record(run)
    assert store.finished(run) is None


def test_a_checksum_is_of_what_a_record_says_not_of_how_it_is_written(store):
    run = mll_teacher()
    record = record_of(run, metrics={"test": {"cmi_nats": 1e-7}}, history={"loss": [1, 2.0, None]})
    store.finish(run, record, weights=None)
    path = store.path(run.id)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert store.record(run) == record
    assert "checksum" not in record.to_json()


def test_every_committed_record_stays_as_it_is_when_it_is_read_and_written():
    paths = sorted((PROJECT / "records").glob("*/*.json"))[::50]
    assert len(paths) > 50
    for path in paths:
        assert read_record(path).to_json() == path.read_text(encoding="utf-8")


def test_absent_runs_have_no_record(store, tmp_path):
    assert store.record(mll_teacher()) is None
    assert Records(tmp_path).record(mll_teacher()) is None
    assert store.records() == ([], [])


def test_checkpoints_round_trip_and_leave_when_the_run_is_finished(store):
    run = mll_teacher()
    assert store.load_checkpoint(run, CPU) == (None, {})
    saved = Checkpoint(2, [{"epoch": 1, "loss": 0.1}, {"epoch": 2}], {"a": torch.ones(3)})
    store.save_checkpoint(run, saved, {"seconds": 1.5, "torch": "2"})
    loaded, provenance = store.load_checkpoint(run, CPU)
    assert (loaded.epoch, loaded.history) == (2, saved.history)
    assert provenance == {"seconds": 1.5, "torch": "2"}
    assert torch.equal(loaded.tensors["a"], torch.ones(3))
    store.finish(run, record_of(run), weights=None)
    assert store.load_checkpoint(run, CPU) == (None, {})


def test_epochs_that_are_left(store):
    run = mll_teacher(epochs=4)
    assert store.epochs_left(run) == 4
    store.save_checkpoint(run, Checkpoint(3, [], {"a": torch.ones(3)}), {"seconds": 1})
    assert store.epochs_left(run) == 1
    path = store.folder(run) / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    assert store.epochs_left(run) == 4  # its training will say that it is damaged
    store.finish(run, record_of(run), weights=None)
    assert store.epochs_left(run) == 0


def test_a_finished_run_leaves_nothing_of_processes_that_were_killed(store):
    run = mll_teacher()
    store.folder(run).mkdir(parents=True)
    (store.folder(run) / ".checkpoint.safetensors.x7k2").write_text("half")
    store.finish(run, record_of(run), weights=None)
    assert [path.name for path in store.folder(run).iterdir()] == ["record.json"]


def test_a_checkpoint_of_another_run_is_refused(store):
    run, other = mll_teacher(), mll_teacher(seed=1)
    store.save_checkpoint(other, Checkpoint(), {})
    store.folder(run).mkdir(parents=True)
    (store.folder(other) / "checkpoint.safetensors").rename(
        store.folder(run) / "checkpoint.safetensors"
    )
    with pytest.raises(StoreError, match=f"no checkpoint of {run.key}, but of {other.key}; "):
        store.load_checkpoint(run, CPU)


def test_missing_weights_are_reported(store):
    with pytest.raises(StoreError, match="cannot read .*weights.safetensors"):
        store.weights(mll_teacher())


def test_a_store_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    lock = Store(tmp_path / "file").lock(mll_teacher())
    with pytest.raises(StoreError, match="cannot lock .*file/.*: Not a directory"), lock:
        pass


def test_records_are_plain_json_with_a_line_per_history_column():
    record = record_of(mll_teacher(), history={"epoch": [1, 2], "loss": [0.5, 0.25]})
    text = record.to_json()
    assert json.loads(text)["history"] == {"epoch": [1, 2], "loss": [0.5, 0.25]}
    assert '  "loss": [0.5, 0.25]' in text.splitlines()


@pytest.fixture
def read_only(monkeypatch):
    """As if nothing could be written any more."""

    def refuse(*arguments, **settings):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def make_read_only():
        for function in ("mkdir", "replace", "unlink", "utime"):
            monkeypatch.setattr(os, function, refuse)
        monkeypatch.setattr(tempfile, "mkstemp", refuse)
        monkeypatch.setattr("filelock._unix.os.open", refuse)

    return make_read_only


def test_a_filled_read_only_store_works_for_reading(store, read_only):
    run, look = mll_teacher(), Measurement(of=mll_teacher(), what="network_size")
    execute([run, look], store, device=CPU)
    read_only()
    assert ensure(run, store, CPU) == store.record(run)
    execute([run, look], store, device=CPU)
    assert load_model(run, store, CPU) is not None
    assert store.records()[0]
    with pytest.raises(StoreError, match="cannot lock .*/lock: Read-only file system"):
        ensure(kd_student(run), store, CPU)


def test_weights_of_another_run_are_refused(store):
    run, other = mll_teacher(), mll_teacher(seed=1)
    for each in (run, other):
        ensure(each, store, CPU)
    weights = store.folder(run) / "weights.safetensors"
    weights.write_bytes((store.folder(other) / "weights.safetensors").read_bytes())
    with pytest.raises(StoreError, match=f"the weights of another run than {run.id}: .*'seed': 1"):
        load_model(run, store, CPU)


def test_weights_that_do_not_fit_are_a_line(store):
    run = mll_teacher()
    ensure(run, store, CPU)
    write_tensors(store.folder(run) / "weights.safetensors", {"bias": torch.zeros(2)})
    with pytest.raises(StoreError, match=f"the weights of {run.id} do not fit its network: ") as no:
        load_model(run, store, CPU)
    assert "\n" not in str(no.value)


def test_a_checkpoint_of_an_earlier_version_of_the_network_is_a_line(store):
    def stop():
        raise KeyboardInterrupt

    run = mll_teacher()
    with pytest.raises(KeyboardInterrupt):
        ensure(run, store, CPU, stop)
    path = store.folder(run) / "checkpoint.safetensors"
    tensors, metadata = read_tensors(path)
    tensors["model.layers.9.weight"] = tensors.pop("model.head.weight")
    write_tensors(path, tensors, metadata)
    with pytest.raises(StoreError, match="does not fit MLP and MLLLoss as they are now .*; delete"):
        ensure(run, store, CPU)


@pytest.mark.parametrize("epoch", ["two", None, [2], {}, float("nan"), float("inf")])
def test_a_foreign_file_has_no_epochs(store, epoch):
    run = mll_teacher()
    path = store.folder(run) / "checkpoint.safetensors"
    write_tensors(path, {"a": torch.ones(1)}, {"epoch": epoch})
    assert store.epochs_left(run) == 4


def test_logits_that_another_process_deletes_meanwhile_are_no_error(store, monkeypatch):
    run = mll_teacher()
    store.folder(run).mkdir(parents=True)
    gone = store.folder(run) / "logits-0-cpu.float32"
    monkeypatch.setattr(type(gone), "glob", lambda *_: [gone])
    store.finish(run, record_of(run), weights=None)
    assert store.finished(run)


@pytest.mark.parametrize("metadata", [{}, {"key": "0123"}])
def test_a_file_that_is_no_checkpoint_is_a_line(store, metadata):
    run = mll_teacher()
    write_tensors(store.folder(run) / "checkpoint.safetensors", {"a": torch.ones(1)}, metadata)
    assert store.epochs_left(run) == 4
    with pytest.raises(StoreError, match=f"is no checkpoint of {run.key}, but of "):
        store.load_checkpoint(run, CPU)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"provenance": [1]}, "provenance: Input should be a valid dictionary, got [1]"),
        ({"provenance": {"seconds": "x"}}, "provenance: seconds must be a number, got 'x'"),
        ({"provenance": {"torch": [2]}}, "provenance.torch"),
        ({"seconds": "x"}, "seconds: Input should be a valid number, got 'x'"),
        ({"epoch": "1"}, "epoch: Input should be a valid integer, got '1'"),
        ({"epoch": -1}, "epoch: Input should be greater than or equal to 0, got -1"),
        ({"epoch": None}, "epoch: Input should be a valid integer, got None"),
        ({"history": 3}, "history: Input should be a valid list, got 3"),
        ({"history": [3]}, "history.0: Input should be a valid dictionary, got 3"),
        ({"history": [{"metrics": {"test": [1]}}]}, "history.0.metrics"),
    ],
)
def test_a_checkpoint_that_says_what_none_says_is_a_line(store, wrong, words):
    run = mll_teacher()
    about = {"key": run.key, "epoch": 1, "history": [{"epoch": 1}], "provenance": {"seconds": 1}}
    path = store.folder(run) / "checkpoint.safetensors"
    write_tensors(path, {"a": torch.ones(1)}, about)
    assert store.load_checkpoint(run, CPU)[0].history == [{"epoch": 1}]
    write_tensors(path, {"a": torch.ones(1)}, about | wrong)
    with pytest.raises(StoreError) as error:
        store.load_checkpoint(run, CPU)
    message = str(error.value)
    assert message.startswith(f"{path} is no checkpoint: ") and words in message
    assert message.isprintable() and message.endswith("; delete it to train from the start")


def test_checkpoints_of_earlier_versions_have_the_seconds_alone(store):
    run = mll_teacher()
    about = {"key": run.key, "epoch": 1, "history": [{"epoch": 1}], "seconds": 1.5}
    write_tensors(store.folder(run) / "checkpoint.safetensors", {"a": torch.ones(1)}, about)
    assert store.load_checkpoint(run, CPU)[1] == {"seconds": 1.5}


def test_the_next_process_deletes_what_killed_ones_left(store):
    run = mll_teacher()
    for number in range(4):
        path = store.folder(run) / f".weights.safetensors.{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
    with store.lock(run):
        assert [path.name for path in store.folder(run).iterdir()] == ["lock"]
