"""A sweep that is killed again and again; `make test-faults` does so more often."""

import os
import shutil

import pytest
import torch
from kill_harness import WHO, main
from kill_log import Log
from small_runs import mll_teacher
from sweep_result import Peaceful

from mcmi_core.base.tensor_files import read_tensors, write_tensors
from mcmi_core.runs.execute import execute
from mcmi_core.runs.failures import Failure, Outcome
from mcmi_core.runs.queue import Queue
from mcmi_core.runs.store import Store
from mcmi_core.runs.trainer import ensure

CPU = torch.device("cpu")
RUN = mll_teacher(epochs=2)
ENDED, ALIVE = 2**22 + 1, os.getpid()
"""Numbers of processes; that of none is above the highest there is."""


def test_kills_change_no_bit_lose_no_run_and_train_none_twice(capsys):
    harness = main(kills=12, seed=1, pairs=1)  # raises an AssertionError otherwise
    assert harness.kills == 13
    assert harness.who.keys() <= WHO.keys()
    assert len(harness.hits) >= 5
    assert "13 kills" in capsys.readouterr().out


# That it would notice


def written(*lines):
    """The log of ``process what epoch`` lines about one run."""
    fields = [line.split() for line in lines]
    return "".join(f"0\t{process}\t{what}\trun\t{epoch}\n" for process, what, epoch in fields)


def attempt(process, first, last, *, finished=False):
    """Lines of a process that trains the epochs up to ``last`` and saves them."""
    lines = [f"{process} locked 0", f"{process} begun {first}"]
    for epoch in range(first + 1, last + 1):
        lines += [f"{process} trained {epoch}", f"{process} kept {epoch}"]
    if finished:
        lines += [f"{process} {what} 0" for what in ("finishing", "finished", "unlocked")]
    return lines


@pytest.fixture
def read(tmp_path):
    def read(*lines, kills=1):
        path = tmp_path / "log"
        path.write_text(written(*lines))
        log = Log(path, kills=kills)
        log.new_events()
        log.bury()
        return log

    return read


def test_an_epoch_in_which_a_kill_came_is_begun_again(read):
    log = read(*attempt(ENDED, 0, 1), *attempt(ENDED + 1, 1, 3, finished=True))
    assert log.check_whole("run", 3) == 1
    saving = [*attempt(ENDED, 0, 1), f"{ENDED} trained 2"]
    assert read(*saving, *attempt(ENDED + 1, 1, 3, finished=True)).check_whole("run", 3) == 1
    assert read(*saving, *attempt(ENDED + 1, 2, 3, finished=True)).check_whole("run", 3) == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (attempt(ENDED, 0, 2) + attempt(ENDED + 1, 0, 3), "goes on after epoch 0, though 2 were"),
        (attempt(ENDED, 0, 3, finished=True) + attempt(ENDED + 1, 3, 3), "though it is finished"),
        ([*attempt(ENDED, 0, 1), f"{ENDED} trained 1"], "epoch 1 of run, not 2"),
        ([*attempt(ENDED, 0, 3), f"{ENDED + 1} trained 4"], "is not locked by"),
        ([*attempt(ENDED, 0, 3, finished=True), f"{ENDED} finishing 0"], "is finished twice"),
    ],
)
def test_a_log_of_what_must_not_happen_is_refused(read, lines, message):
    with pytest.raises(AssertionError, match=message):
        read(*[line if line.count(" ") == 2 else f"{line} 0" for line in lines])


def test_two_processes_at_one_run_are_refused(read, monkeypatch):
    monkeypatch.setattr("kill_log.SECONDS_TO_DIE", 0)
    with pytest.raises(AssertionError, match="two processes are at run"):
        read(*attempt(ALIVE, 0, 1), *attempt(ENDED, 1, 2))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (attempt(ENDED, 0, 3), "nobody finished run"),
        (attempt(ENDED, 0, 2, finished=True), "2 epochs of run, which has 3"),
    ],
)
def test_a_run_that_was_not_trained_to_its_end_is_noticed(read, lines, message):
    with pytest.raises(AssertionError, match=message):
        read(*lines).check_whole("run", 3)


@pytest.fixture
def peaceful(tmp_path):
    """Compares stores with one of a single run; and a copy of that."""
    ensure(RUN, Store(tmp_path / "peaceful"), CPU)
    shutil.copytree(tmp_path / "peaceful", tmp_path / "store")
    cache = tmp_path / "cache"
    return Peaceful([RUN], tmp_path / "peaceful", cache), Store(tmp_path / "store"), cache


def test_what_is_the_same_passes(peaceful):
    expected, store, cache = peaceful
    seen = {}
    expected.check_files_that_are_there(store.root, seen)
    expected.check_same_files(store.root, cache)
    assert seen.keys() == {RUN.id}


def _one_bit(store):
    path = store.folder(RUN) / "weights.safetensors"
    tensors, about = read_tensors(path)
    first = next(iter(tensors.values())).view(torch.int32)
    first.view(-1)[0] ^= 1
    write_tensors(path, tensors, about)


def _digit(store):
    path = store.path(RUN.id)
    record = store.record(RUN).model_copy(update={"status": "collapsed"})
    path.write_text(record.to_json(checksum=True))


def _unfinished(store):
    store.path(RUN.id).unlink()
    (store.folder(RUN) / "checkpoint.safetensors").write_bytes(b"half")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_one_bit, r"\S+ of teacher-.* differs$"),
        (_digit, "status of teacher-.* differs: collapsed, not done"),
        (_unfinished, "checkpoint.safetensors is damaged"),
    ],
)
def test_what_differs_is_noticed(peaceful, change, message):
    expected, store, _ = peaceful
    change(store)
    with pytest.raises(AssertionError, match=message):
        expected.check_files_that_are_there(store.root, {})


def test_a_record_that_is_replaced_or_lost_is_noticed(peaceful):
    expected, store, cache = peaceful
    seen = {}
    expected.check_files_that_are_there(store.root, seen)
    path = store.path(RUN.id)
    path.with_suffix(".new").write_text(path.read_text())
    path.with_suffix(".new").replace(path)
    with pytest.raises(AssertionError, match="teacher-.* was made again"):
        expected.check_files_that_are_there(store.root, seen)
    path.unlink()
    with pytest.raises(AssertionError, match="teacher-.* is lost"):
        expected.check_files_that_are_there(store.root, seen)
    with pytest.raises(AssertionError, match=r"lost: \[.*record.json"):
        expected.check_same_files(store.root, cache)


def test_a_file_left_behind_is_noticed(peaceful):
    expected, store, cache = peaceful
    (store.folder(RUN) / ".weights.safetensors.abc").touch()
    with pytest.raises(AssertionError, match=r"left behind: \[.*weights.safetensors.abc"):
        expected.check_same_files(store.root, cache)


# What it has found


class Killed(BaseException):
    """Nothing handles it, as if the process were gone."""


@pytest.mark.parametrize(
    "again",
    [lambda store: ensure(RUN, store, CPU), lambda store: execute([RUN], store, device=CPU)],
)
def test_a_kill_right_after_the_record_leaves_no_checkpoint_for_good(store, monkeypatch, again):
    def kill(path, *arguments, **settings):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", kill)
        with pytest.raises(Killed):
            ensure(RUN, store, CPU)
    checkpoint = store.folder(RUN) / "checkpoint.safetensors"
    assert store.record(RUN).status == "done"
    assert checkpoint.exists()
    again(store)
    assert not checkpoint.exists()


def test_a_worker_that_is_killed_right_after_the_record_has_not_failed(store):
    queue = Queue([RUN], store)
    queue.start((RUN,))
    ensure(RUN, store, CPU)
    queue.finish((RUN,), [Outcome(RUN.key, failure=Failure.of_killed(RUN, "it was killed", 0))])
    queue.check_failures()
    assert queue.outcome(RUN) == Outcome(RUN.key, usable=True)
    assert store.failures() == ([], [])
