"""Records and checkpoints: whole, checked, and refused when they are not what they say."""

import json

import pytest
import torch
from small_runs import kd_student, mll_teacher

from mcmi_core.base.errors import StoreError
from mcmi_core.runs.records import Record, Records, read_record
from mcmi_core.runs.store import Store
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


@pytest.mark.parametrize("text", ["", "{", '{"key": 1}', "[]"])
def test_damaged_records_are_refused(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="record.json is not a record"):
        read_record(path)


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
