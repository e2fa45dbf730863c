"""Files are whole or absent."""

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest
from filelock import Timeout

from mcmi_core.base.errors import StoreError
from mcmi_core.base.files import content_of, exists, locked, write_atomically
from mcmi_core.base.tensor_files import read_metadata, read_tensors
from mcmi_core.runs.records import read_record


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_full_disk_keeps_the_old_file_and_leaves_no_rest(tmp_path, monkeypatch, failing):
    path = tmp_path / "record.json"
    write_atomically(path, "old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync" if failing == "write" else "replace", full)
    with pytest.raises(StoreError, match="record.json: No space left on device; whatever it held"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_atomically(tmp_path / "file" / "record.json", "text")


def leave_half_written(path):
    """What a writer leaves that is killed in the middle; the name of the file."""
    pid = os.fork()
    if pid == 0:
        os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
        write_atomically(path, "half")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    [left] = set(path.parent.iterdir()) - {path}
    return left


def test_what_killed_writers_left_is_deleted_by_the_next_one(tmp_path):
    path = tmp_path / "record.json"
    write_atomically(path, "old")
    for _ in range(4):
        left = leave_half_written(path)
        assert left.read_text() == "half"
        assert path.read_text() == "old"
        write_atomically(path, "new")
        assert list(tmp_path.iterdir()) == [path]
        write_atomically(path, "old")


def test_what_others_are_writing_stays(tmp_path, monkeypatch):
    path, other = tmp_path / "record.json", tmp_path / "record.json.old"
    unfinished = []
    replace = os.replace

    def write_another_first(source, target):
        monkeypatch.setattr(os, "replace", replace)
        unfinished.append(source)
        write_atomically(path, "second")
        assert os.path.exists(source)  # the first is still at it, and writes last
        replace(source, target)

    write_atomically(other, "of another name")
    monkeypatch.setattr(os, "replace", write_another_first)
    write_atomically(path, "first")
    assert path.read_text() == "first"
    assert sorted(tmp_path.iterdir()) == [path, other]


def test_a_file_that_is_deleted_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """Another writer may look at it in the moment between."""
    flock, deleted = fcntl.flock, []

    def flock_too_late(handle, operation):
        if not deleted:
            deleted.append(os.readlink(f"/proc/self/fd/{handle}"))
            os.unlink(deleted[0])
        flock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock_too_late)
    write_atomically(tmp_path / "record.json", "text")
    assert deleted and (tmp_path / "record.json").read_text() == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    path = tmp_path / "new" / "lock"
    with locked(path), pytest.raises(Timeout), locked(path, wait=False):
        pass
    with locked(path, wait=False):
        pass


def test_what_is_no_file_is_neither_there_nor_absent(tmp_path):
    os.mkfifo(tmp_path / "record.json")
    for path in (tmp_path / "record.json", tmp_path, Path("/dev/zero")):
        for look in (exists, content_of, read_record, read_tensors, read_metadata):
            with pytest.raises(StoreError, match=f"^cannot read {path}: it is no file$"):
                look(path)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("file", "Not a directory|File exists"), ("/proc/nowhere", "No such file or directory")],
)
def test_a_lock_that_cannot_be_made_is_reported(tmp_path, folder, reason):
    (tmp_path / "file").write_text("")
    lock = locked(tmp_path / folder / "lock")
    with pytest.raises(StoreError, match=f"cannot lock .*lock: ({reason})"), lock:
        pass


def test_a_read_only_folder_is_reported(tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("filelock._unix.os.open", refuse)
    lock = locked(tmp_path / "lock")
    with pytest.raises(StoreError, match="cannot lock .*lock: Read-only file system"), lock:
        pass
